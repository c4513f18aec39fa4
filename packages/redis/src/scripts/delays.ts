/**
 * Puts what is due into its stream. ARGV: root, whether unsettled records may be trimmed. Returns milliseconds until the
 * next is due, or -1.
 */
export const PROMOTE: string = `
local root, unacked = ARGV[1], ARGV[2] == '1'
local grown = {}
local time = now()
evenWhenFull()
for _, name in ipairs(call('ZRANGEBYSCORE', T .. ':delayed', '-inf', time, 'LIMIT', 0, 200)) do
  local topic, id = name:match('^(%S+) (.*)$')
  local stored = call('HGET', T .. ':delayed:' .. topic, id)
  if stored then
    local kind, key, meta, data = unpack(cmsgpack.unpack(stored))
    local kinds, most, age = topicInfo(topic)
    if kinds == nil then kinds = addTopic(topic) end
    if not kinds:find(kind, 1, true) then addKind(topic, kinds, kind, most, age) end
    append(topic, kind, key, meta, data)
    grown[kind .. topic] = true
    ring(root, topic, kind)
    call('HDEL', T .. ':delayed:' .. topic, id)
  end
  call('ZREM', T .. ':delayed', name)
end
for name in pairs(grown) do
  local kind, topic = name:sub(1, 1), name:sub(2)
  local _, most, age = topicInfo(topic)
  if most or age then pcall(trim, topic, kind, most, age, unacked) end
end
local next = call('ZRANGE', T .. ':delayed', 0, 0, 'WITHSCORES')[2]
return next and math.max(0, tonumber(next) - time) or -1
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
