import { WAITING } from './waiting.ts';

/**
 * Settles for good. Refused as a whole once the member is given up: others may have the records.
 *
 * ARGV: root, group, member; then of each stream: topic, kind, how many, and the ids, with a key each where they have keys.
 */
export const ACK: string = `${WAITING}
local root, group, me = ARGV[1], ARGV[2], ARGV[3]
if not call('ZSCORE', T .. ':members:' .. group, me) then return 0 end
local at = 4
while at <= #ARGV do
  local topic, kind, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local stream = streamOf(topic, kind)
  at = at + 3
  if kind ~= 'k' then
    call('XACK', stream, group, unpack(ARGV, at, at + count - 1))
    at = at + count
  else
    local wake, gone = false, {}
    for i = at, at + 2 * count - 1, 2 do
      local lane = laneOf(ARGV[i + 1])
      call('ZREM', lanes('block', group, topic), inLane(lane, ARGV[i]))
      if call('XACK', stream, group, ARGV[i]) == 0 then
        gone[lane] = true
      elseif returned(group, topic, lane, me) then
        wake = true
      end
    end
    if recount(group, topic, gone, me) then wake = true end
    if wake then ring(root, topic, kind) end
    at = at + 2 * count
  end
end
return 1
`;

/** The same where no record has a key. */
export const ACK_PLAIN: string = `
local group = ARGV[2]
if not redis.call('ZSCORE', KEYS[1] .. ':members:' .. group, ARGV[3]) then return 0 end
local at = 4
while at <= #ARGV do
  local first = at + 3
  at = first + ARGV[at + 2]
  local stream = KEYS[1] .. ':stream:' .. ARGV[first - 3] .. ':' .. ARGV[first - 2]
  redis.call('XACK', stream, group, unpack(ARGV, first, at - 1))
end
return 1
`;

/**
 * Lets a record come again, counted.
 *
 * ARGV: root, group, member, topic, kind, id, key, attempt, delay, whether it blocks its key.
 */
export const NACK: string = `${WAITING}
local root, group, me, topic, kind, id, key, attempt, delay, block = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10] == '1'
local stream = streamOf(topic, kind)
local owner, count = holder(stream, group, id)
local isMember = call('ZSCORE', T .. ':members:' .. group, me)
-- This call once more, after its answer was lost; meanwhile somebody may have taken the record again.
if owner == PARKED and count == attempt or isMember and count > attempt then return 1 end
if owner ~= me or not isMember then
  if kind == 'k' and isMember and recount(group, topic, { [laneOf(key)] = true }, me) then ring(root, topic, kind) end
  return 0
end
call('XCLAIM', stream, group, PARKED, 0, id, 'RETRYCOUNT', attempt, 'JUSTID')
local name = nameOf(levelOf(kind), id, kind, topic)
local wake = delay <= 0
local lane
if kind == 'k' then
  lane = laneOf(key)
  if block then call('ZADD', lanes('block', group, topic), 0, inLane(lane, id)) end
end
if delay > 0 then
  call('ZADD', T .. ':due:' .. group, now() + delay, name)
else
  comeBack(group, name)
end
if lane and returned(group, topic, lane, me) then wake = true end
if wake then call('PUBLISH', root .. 'B:' .. topic, kind) end
return 1
`;

/** Gives records back uncounted. ARGV: root, group, member; then topic, kind, id and key of each. */
export const RELEASE: string = `${WAITING}
local root, group, me = ARGV[1], ARGV[2], ARGV[3]
local topics, gone = {}, {}
for at = 4, #ARGV, 4 do
  local topic, kind, id, key = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local stream = streamOf(topic, kind)
  local owner, count = holder(stream, group, id)
  if owner == me then
    call('XCLAIM', stream, group, PARKED, 0, id, 'RETRYCOUNT', math.max(0, count - 1), 'JUSTID')
    comeBack(group, nameOf(levelOf(kind), id, kind, topic))
    if kind == 'k' then
      if key == '' then
        local entry = call('XRANGE', stream, id, id)[1]
        key = entry and keyIn(entry[2]) or ''
      end
      returned(group, topic, laneOf(key), me)
    end
    topics[topic] = kind
  elseif kind == 'k' and key ~= '' and owner == nil then
    gone[topic] = gone[topic] or {}
    gone[topic][laneOf(key)] = true
  end
end
for topic, which in pairs(gone) do
  if recount(group, topic, which, me) then topics[topic] = 'k' end
end
for topic, kind in pairs(topics) do call('PUBLISH', root .. 'B:' .. topic, kind) end
return 1
`;
