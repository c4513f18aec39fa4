/**
 * Puts what is due into its stream. What the server refuses, as where the stream's key holds something else, is tried again
 * a minute later. ARGV: root, whether unsettled records may be trimmed. Returns milliseconds until the next is due, or -1;
 * then topic and reason of what was refused.
 */
export const PROMOTE: string = `
local root, unacked = ARGV[1], ARGV[2] == '1'
local PUT_OFF = 60000
local grown = {}
local time = now()
evenWhenFull()

local function promote(name)
  local topic, id = name:match('^(%S+) (.*)$')
  local stored = call('HGET', T .. ':delayed:' .. topic, id)
  if not stored then
    call('ZREM', T .. ':delayed', name)
    return
  end
  local kind, key, meta, data = unpack(cmsgpack.unpack(stored))
  local kinds, most, age = topicInfo(topic)
  if kinds == nil then kinds = addTopic(topic) end
  if not kinds:find(kind, 1, true) then addKind(topic, kinds, kind, most, age) end
  append(topic, kind, key, meta, data)
  call('HDEL', T .. ':delayed:' .. topic, id)
  call('ZREM', T .. ':delayed', name)
  grown[kind .. topic] = true
  ring(root, topic, kind)
end

local refused = {}
for _, name in ipairs(call('ZRANGEBYSCORE', T .. ':delayed', '-inf', time, 'LIMIT', 0, 200)) do
  local fine, reason = pcall(promote, name)
  if not fine then
    reason = tostring(type(reason) == 'table' and reason.err or reason)
    -- An account that may not do it leaves it to those that may.
    if reason:find("user executing the script can't", 1, true) or reason:find('ACL failure', 1, true) then error(reason) end
    call('ZADD', T .. ':delayed', time + PUT_OFF, name)
    refused[name:match('^%S*')] = reason
  end
end
for name in pairs(grown) do
  local kind, topic = name:sub(1, 1), name:sub(2)
  local _, most, age = topicInfo(topic)
  if most or age then pcall(trim, topic, kind, most, age, unacked) end
end
local next = call('ZRANGE', T .. ':delayed', 0, 0, 'WITHSCORES')[2]
local out = { next and math.max(0, tonumber(next) - time) or -1 }
for topic, reason in pairs(refused) do
  out[#out + 1] = topic
  out[#out + 1] = reason
end
return out
`;

/** Takes a delayed record back. ARGV: root, topic, id. Returns how many there were. */
export const CANCEL: string = `
local topic, id = ARGV[2], ARGV[3]
local count = 0
while true do
  local stored = call('HGET', T .. ':delayed:' .. topic, id)
  if not stored then return count end
  local once = cmsgpack.unpack(stored)[5]
  -- What it kept others from repeating will never come.
  if once ~= '' then call('ZREM', T .. ':seen:' .. topic, once) end
  call('HDEL', T .. ':delayed:' .. topic, id)
  call('ZREM', T .. ':delayed', topic .. ' ' .. id)
  count = count + 1
  id = id .. '\\0'
end
`;
