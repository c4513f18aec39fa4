const FORGET = `
local function forgetLanes(group, topic)
  for _, what in ipairs({ 'lanes', 'lane', 'block', 'owned', 'free' }) do
    call('DEL', T .. ':' .. what .. ':' .. group .. ':' .. topic)
  end
end

local function forgetDelayed(topic)
  local ids = call('HKEYS', T .. ':delayed:' .. topic)
  for _, id in ipairs(ids) do call('ZREM', T .. ':delayed', topic .. ' ' .. id) end
  call('DEL', T .. ':delayed:' .. topic)
  return #ids
end
`;

/** ARGV: root. Returns topic, records and retention of each. */
export const LIST_TOPICS: string = `
local out = {}
for _, topic in ipairs(call('HKEYS', T .. ':topics')) do
  local kinds, most, age = topicInfo(topic)
  local count = 0
  for kind in kinds:gmatch('.') do
    if call('EXISTS', streamOf(topic, kind)) == 1 then
      trim(topic, kind, most, age, false, true)
      count = count + call('XLEN', streamOf(topic, kind))
    end
  end
  out[#out + 1] = { topic, count, most or -1, age or -1 }
end
return out
`;

/** ARGV: root, topic, retention. */
export const ENSURE_TOPIC: string = `
if call('HEXISTS', T .. ':topics', ARGV[2]) == 0 then addTopic(ARGV[2], ARGV[3], ARGV[4]) end
completeTopic(ARGV[2])
call('PUBLISH', ARGV[1] .. 'b:' .. ARGV[2], '2')
return 1
`;

/** ARGV: root, topic. */
export const DELETE_TOPIC: string = `${FORGET}
local topic = ARGV[2]
local kinds = topicInfo(topic)
if kinds == nil then return 0 end
for kind in kinds:gmatch('.') do call('DEL', streamOf(topic, kind)) end
for _, group in ipairs(groupsOf(topic)) do forgetLanes(group, topic) end
forgetDelayed(topic)
call('DEL', T .. ':seen:' .. topic)
call('HDEL', T .. ':topics', topic)
call('INCR', T .. ':version')
return 1
`;

/**
 * Empties a topic for every group. The streams are made anew with their last ids: removing entries one by one would leave
 * the groups with what they hold of them.
 *
 * ARGV: root, topic.
 */
export const PURGE: string = `${FORGET}
local topic = ARGV[2]
local kinds = topicInfo(topic)
if kinds == nil then return 0 end
local count = forgetDelayed(topic)
local groups = groupsOf(topic)
for kind in kinds:gmatch('.') do
  local stream = streamOf(topic, kind)
  if call('EXISTS', stream) == 1 then
    count = count + call('XLEN', stream)
    local last = '0-0'
    local info = call('XINFO', 'STREAM', stream)
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then last = info[i + 1] end
    end
    call('DEL', stream)
    if last ~= '0-0' then
      call('XADD', stream, 'MAXLEN', 0, last, 'data', '')
    end
    for _, group in ipairs(groups) do call('XGROUP', 'CREATE', stream, group, '$', 'MKSTREAM') end
  end
end
for _, group in ipairs(groups) do forgetLanes(group, topic) end
return count
`;

/** ARGV: root, a group or nothing. Returns group, depth, in flight and members of each. */
export const GROUPS: string = `
local wanted = ARGV[2]
local names = wanted == '' and call('HKEYS', T .. ':groups') or { wanted }
local out = {}
local function countAfter(stream, id)
  local count = 0
  while true do
    local some = call('XRANGE', stream, '(' .. id, '+', 'COUNT', 500)
    count = count + #some
    if #some < 500 then return count end
    id = some[#some][1]
  end
end
for _, name in ipairs(names) do
  if call('HEXISTS', T .. ':groups', name) == 1 then
    local depth, flying = 0, 0
    for _, topic in ipairs(topicsOf(patternOf(name))) do
      for kind in topicInfo(topic):gmatch('.') do
        local stream = streamOf(topic, kind)
        local infos = redis.pcall('XINFO', 'GROUPS', stream)
        for _, info in ipairs(infos.err and {} or infos) do
          local one = {}
          for i = 1, #info, 2 do one[info[i]] = info[i + 1] end
          if one.name == name then
            depth = depth + one.pending + (one.lag or countAfter(stream, one['last-delivered-id']))
            if one.pending > 0 then
              for _, holds in ipairs(call('XPENDING', stream, name)[4] or {}) do
                if holds[1] ~= '~' then flying = flying + tonumber(holds[2]) end
              end
            end
          end
        end
      end
    end
    local members = call('ZCOUNT', T .. ':members:' .. name, now(), '+inf')
    out[#out + 1] = { name, depth, flying, members }
  end
end
return out
`;

/** Notes it for a week, so that nobody takes it for a loss. ARGV: root, group. */
export const DELETE_GROUP: string = `${FORGET}
local group = ARGV[2]
if call('HDEL', T .. ':groups', group) == 0 then return 0 end
call('SET', T .. ':deleted:' .. group, 1, 'PX', 604800000)
for _, topic in ipairs(topicsOf(patternOf(group))) do
  for kind in topicInfo(topic):gmatch('.') do redis.pcall('XGROUP', 'DESTROY', streamOf(topic, kind), group) end
  forgetLanes(group, topic)
  call('PUBLISH', ARGV[1] .. 'B:' .. topic, '-')
end
for _, what in ipairs({ 'members', 'due', 'ready', 'swept' }) do call('DEL', T .. ':' .. what .. ':' .. group) end
call('PUBLISH', ARGV[1] .. 'g', group)
return 1
`;

/** ARGV: root, topic, how many; then kind and the id after which to read, of each kind. Returns kind and entries. */
export const BROWSE: string = `
local topic, count = ARGV[2], tonumber(ARGV[3])
local kinds, most, age = topicInfo(topic)
if kinds == nil then return {} end
local after = {}
for i = 4, #ARGV, 2 do after[ARGV[i]] = ARGV[i + 1] end
local out = {}
for kind in kinds:gmatch('.') do
  if call('EXISTS', streamOf(topic, kind)) == 1 then
    trim(topic, kind, most, age, false, true)
    out[#out + 1] = { kind, call('XRANGE', streamOf(topic, kind), after[kind] or '-', '+', 'COUNT', count) }
  end
end
return out
`;

/** Removes records for every group. ARGV: root, topic; then kind and id of each. */
export const REMOVE: string = `
local topic = ARGV[2]
local count = 0
if topicInfo(topic) == nil then return 0 end
local groups = groupsOf(topic)
for i = 3, #ARGV, 2 do
  local stream = streamOf(topic, ARGV[i])
  if call('XDEL', stream, ARGV[i + 1]) == 1 then count = count + 1 end
  for _, group in ipairs(groups) do redis.pcall('XACK', stream, group, ARGV[i + 1]) end
end
return count
`;
