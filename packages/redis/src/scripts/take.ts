import { WAITING } from './waiting.ts';

/**
 * Takes what is next for a member, highest rank first: retries that are due, then the streams.
 *
 * ARGV: root, group, member, most, most of one key, keys first, topics to look at.
 * Returns `ok`, milliseconds until the next retry is due or -1, whether to ask again at once, lists of topic, kind, attempt
 * (0: the first) and entries, whether a stream had lost its group, and whether there is more than the plain stream.
 */
export const TAKE: string = `${WAITING}
local root, group, me, want, most, keysFirst = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
if not call('ZSCORE', T .. ':members:' .. group, me) then
  if call('HEXISTS', T .. ':groups', group) == 0 then
    return { 'gone', not isDropped(group) and call('GET', T .. ':epoch') or '' }
  end
  return { 'dead' }
end
listed(group)
local due, ready = T .. ':due:' .. group, T .. ':ready:' .. group
local time = now()
local more, healed = 0, 0
for _, name in ipairs(call('ZRANGEBYSCORE', due, '-inf', time, 'LIMIT', 0, 500)) do
  call('ZREM', due, name)
  comeBack(group, name)
end

local out = {}
local function give(topic, kind, attempt, entries)
  out[#out + 1] = { topic, kind, attempt, entries }
  want = want - #entries
end

-- An entry that waited becomes this member's. Nil when it is there no more.
local function claim(stream, id)
  local owner, count = holder(stream, group, id)
  if owner ~= PARKED then return nil end
  return call('XCLAIM', stream, group, me, 0, id, 'RETRYCOUNT', count + 1)[1], count + 1
end

local function takeReady(level)
  while want > 0 do
    local names = call('ZRANGEBYLEX', ready, '[' .. level, '(' .. level .. ':', 'LIMIT', 0, math.min(want, 100))
    if #names == 0 then return end
    for _, name in ipairs(names) do
      call('ZREM', ready, name)
      local _, id, kind, topic = parseName(name)
      local entry, attempt = claim(streamOf(topic, kind), id)
      if entry then give(topic, kind, attempt, { entry }) end
    end
  end
end

local function read(topic, kind, count)
  local stream = streamOf(topic, kind)
  local got = redis.pcall('XREADGROUP', 'GROUP', group, me, 'COUNT', count, 'STREAMS', stream, '>')
  if got and got.err then
    if not got.err:find('NOGROUP') then error(got.err) end
    -- Somebody else deleted the stream or the group: all that is there is the group's.
    healed = 1
    call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
    return {}
  end
  return got and got[1][2] or {}
end

local function takeLane(topic, lane)
  local waiting, blocking = lanes('lane', group, topic), lanes('block', group, topic)
  local stream = streamOf(topic, 'k')
  while want > 0 do
    local first = firstOf(waiting, lane)
    if not first then return end
    local blocker = firstOf(blocking, lane)
    -- One before it is there again when its member was lost: it goes first.
    if blocker and before(idIn(blocker), idIn(first)) then
      if holder(stream, group, idIn(blocker)) then return end
      call('ZREM', blocking, blocker)
    else
      local owner, count = laneState(group, topic, lane)
      if owner and owner ~= me then
        offer(group, topic, lane)
        return
      end
      if count >= most then return end
      call('ZREM', waiting, first)
      local entry, attempt = claim(stream, idIn(first))
      if entry then
        setLane(group, topic, lane, me, count + 1)
        give(topic, 'k', attempt, { entry })
      end
    end
  end
  offer(group, topic, lane)
end

local function takeKeyed(topic)
  local waiting, blocking = lanes('lane', group, topic), lanes('block', group, topic)
  local owned, free = lanes('owned', group, topic), lanes('free', group, topic)
  for _, one in ipairs(call('ZRANGEBYLEX', owned, '[' .. me .. '\\0', '(' .. me .. '\\1', 'LIMIT', 0, 200)) do
    if want <= 0 then break end
    call('ZREM', owned, one)
    takeLane(topic, one:sub(#me + 2))
  end
  for _, lane in ipairs(call('ZRANGE', free, 0, 199)) do
    if want <= 0 then break end
    call('ZREM', free, lane)
    takeLane(topic, lane)
  end
  local looked, others = 0, false
  while want > 0 and looked < 500 do
    local count = math.min(want, 100)
    local entries = read(topic, 'k', count)
    looked = looked + #entries
    local mine = {}
    for _, entry in ipairs(entries) do
      local lane = laneOf(keyIn(entry[2]))
      local owner, held = laneState(group, topic, lane)
      if (owner and owner ~= me) or held >= most or firstOf(waiting, lane) or firstOf(blocking, lane) then
        call('XCLAIM', streamOf(topic, 'k'), group, PARKED, 0, entry[1], 'RETRYCOUNT', 0, 'JUSTID')
        park(group, topic, lane, entry[1])
        if owner ~= me then
          offer(group, topic, lane)
          others = others or owner ~= nil
        end
      else
        setLane(group, topic, lane, me, held + 1)
        mine[#mine + 1] = entry
      end
    end
    if #mine > 0 then give(topic, 'k', 0, mine) end
    if #entries < count then break end
    if looked >= 500 then more = 1 end
  end
  if others then ring(root, topic, 'k') end
  if want > 0 and call('ZCARD', free) > 0 then more = 1 end
end

local function takeFresh(level)
  for i = 7, #ARGV do
    if want <= 0 then return end
    local topic = ARGV[i]
    local kinds = topicInfo(topic) or ''
    if level == '2' and keysFirst and kinds:find('k', 1, true) then takeKeyed(topic) end
    if want > 0 and kinds:find(level, 1, true) then
      local entries = read(topic, level, want)
      if #entries > 0 then give(topic, level, 0, entries) end
    end
    if level == '2' and want > 0 and not keysFirst and kinds:find('k', 1, true) then takeKeyed(topic) end
  end
end

for level = 0, 4 do
  if want <= 0 then break end
  takeReady(tostring(level))
  takeFresh(tostring(level))
end
local special = call('EXISTS', ready)
for i = 7, #ARGV do
  if (topicInfo(ARGV[i]) or '2') ~= '2' then special = 1 end
end
local next = call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
return { 'ok', next and math.max(0, tonumber(next) - time) or -1, more, out, healed, special }
`;
