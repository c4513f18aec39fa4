import { MATCHES } from './library.ts';

/**
 * Sends what is not stored. Every message for a group goes to one of its members that are alive.
 *
 * ARGV: root, whether PUBLISH tells of all its receivers; then the operations: letter, topic or address, frame. A capital
 * letter lays the frame aside and sends where it lies.
 * Returns nothing, or the places of what was refused: `nobody` answers a request, or the server's reason.
 */
export const CAST: string = `
local T, call = KEYS[1], redis.call
local root, counts = ARGV[1], ARGV[2] == '1'
local time, turn
${MATCHES}
local known = {}
local function collect(channel, topic, index, into)
  for _, field in ipairs(call('HKEYS', index)) do
    if field:sub(1, 1) == channel and matches(field:match('|([^|]*)$'), topic) then
      if not time then
        local t = call('TIME')
        time, turn = t[1] * 1000 + math.floor(t[2] / 1000), tonumber(t[2])
      end
      into[#into + 1] = { field, call('ZRANGEBYSCORE', T .. ':listeners:' .. field, time, '+inf') }
    end
  end
end

local function membersOf(channel, topic)
  local found = known[channel .. topic]
  if found then return found end
  found = {}
  collect(channel, topic, T .. ':listening:' .. topic, found)
  collect(channel, topic, T .. ':listening:*', found)
  known[channel .. topic] = found
  return found
end

local function toOne(field, members, frame)
  while #members > 0 do
    turn = turn + 1
    local n = turn % #members + 1
    if call('PUBLISH', root .. 'm:' .. members[n], frame) > 0 or not counts then return true end
    -- Its connection is gone.
    call('ZREM', T .. ':listeners:' .. field, members[n])
    table.remove(members, n)
  end
  return false
end

-- Milliseconds that a body waits for its readers: shorter where nobody knows how many they are.
local LIFE, UNCOUNTED_LIFE, UNCOUNTED = 30000, 10000, 1000000

local function layAside(frame, life)
  local number = redis.pcall('INCR', T .. ':bodies')
  if type(number) == 'table' then return nil, number.err end
  call('PEXPIRE', T .. ':bodies', 3600000)
  local body = T .. ':body:' .. string.format('%.0f', number)
  local done = redis.pcall('SET', body, frame, 'PX', life)
  if done.err then return nil, done.err end
  return body
end

local refused
local function refuse(at, reason)
  refused = refused or {}
  refused[#refused + 1] = (at - 3) / 3
  refused[#refused + 1] = reason
end

local function send(at, letter, topic, frame, groups, channel)
  local readers = 0
  if letter == 'r' then
    local heard = call('PUBLISH', root .. 'i:' .. topic, frame)
    return counts and heard or 1
  end
  if letter == 'e' then readers = call('PUBLISH', channel, frame) end
  local reached = false
  for _, group in ipairs(groups) do
    if toOne(group[1], group[2], frame) then
      reached = true
      readers = readers + 1
    end
  end
  if letter == 'q' and not reached then refuse(at, 'nobody') end
  return (counts or letter == 'q') and readers or UNCOUNTED
end

-- Those of one topic mostly come in a row.
local lastLetter, lastTopic, groups, channel
for at = 3, #ARGV, 3 do
  local letter, topic, frame = ARGV[at]:lower(), ARGV[at + 1], ARGV[at + 2]
  if letter ~= 'r' and (letter ~= lastLetter or topic ~= lastTopic) then
    lastLetter, lastTopic, groups, channel = letter, topic, membersOf(letter, topic), root .. 'e:' .. topic
  end
  if letter == ARGV[at] then
    send(at, letter, topic, frame, groups, channel)
  else
    local life = (counts or letter ~= 'e') and LIFE or UNCOUNTED_LIFE
    local body, reason = layAside(frame, life)
    if body then
      local readers = send(at, letter, topic, 'ambus:body ' .. body, groups, channel)
      if readers > 0 then call('SET', body .. ':left', readers, 'PX', life) else call('UNLINK', body) end
    else
      refuse(at, reason)
    end
  end
end
return refused
`;

/** A body that was laid aside; gone with its last reader. ARGV: its key. */
export const FETCH: string = `
local body = redis.call('GET', ARGV[1])
if body and redis.call('DECR', ARGV[1] .. ':left') <= 0 then redis.call('UNLINK', ARGV[1], ARGV[1] .. ':left') end
return body
`;
