/** What the scripts of groups share: where a record waits that comes again, and the lanes of keys. */
export const WAITING: string = `
-- A full server drops whole keys: a group that is nowhere was only deleted where that was noted.
local function listed(group)
  if call('HEXISTS', T .. ':groups', group) == 0 then
    evenWhenFull()
    call('HSET', T .. ':groups', group, string.format('%.0f', now()))
  end
end

local function isDropped(group)
  return call('EXISTS', T .. ':deleted:' .. group) == 0
end

-- A waiting record's name sorts by rank, then by age: level, padded id, kind, topic.
local function nameOf(level, id, kind, topic)
  local ms, seq = parseId(id)
  return string.format('%s%015.0f-%010.0f:%s:%s', level, ms, seq, kind, topic)
end

local function parseName(name)
  local level, ms, seq, kind, topic = name:match('^(%w)(%d+)%-(%d+):(%w):(.*)$')
  return level, string.format('%.0f-%.0f', tonumber(ms), tonumber(seq)), kind, topic
end

local function lanes(what, group, topic)
  return T .. ':' .. what .. ':' .. group .. ':' .. topic
end

-- No name of a lane holds the byte that ends it in the sorted sets.
local function laneOf(key)
  if not key:find('[%z\\1]') then return key end
  return (key:gsub('[%z\\1]', function(c) return c == '\\0' and '\\1\\1' or '\\1\\2' end))
end

local function keyIn(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'key' then return fields[i + 1] end
  end
  return ''
end

local function inLane(lane, id)
  local ms, seq = parseId(id)
  -- Not all by the format: it ends a text at its first zero.
  return lane .. '\\0' .. string.format('%015.0f-%010.0f', ms, seq)
end

local function idIn(member)
  local ms, seq = member:match('(%d+)%-(%d+)$')
  return string.format('%.0f-%.0f', tonumber(ms), tonumber(seq))
end

local function firstOf(set, lane)
  return call('ZRANGEBYLEX', set, '[' .. lane .. '\\0', '(' .. lane .. '\\1', 'LIMIT', 0, 1)[1]
end

local function laneState(group, topic, lane)
  local value = call('HGET', lanes('lanes', group, topic), lane)
  if not value then return nil, 0 end
  local out, owner = value:match('^(%d+)|(.*)$')
  return owner, tonumber(out)
end

local function setLane(group, topic, lane, owner, out)
  if out > 0 then
    call('HSET', lanes('lanes', group, topic), lane, out .. '|' .. owner)
  else
    call('HDEL', lanes('lanes', group, topic), lane)
  end
end

-- Makes a lane known to who may go on with it. True when there is something to go on with.
local function offer(group, topic, lane)
  if not firstOf(lanes('lane', group, topic), lane) then return false end
  local owner = laneState(group, topic, lane)
  if owner then
    call('ZADD', lanes('owned', group, topic), 0, owner .. '\\0' .. lane)
  else
    call('ZADD', lanes('free', group, topic), now(), lane)
  end
  return true
end

local function park(group, topic, lane, id)
  call('ZADD', lanes('lane', group, topic), 0, inLane(lane, id))
end

local function returned(group, topic, lane, member)
  local owner, out = laneState(group, topic, lane)
  if owner == member then setLane(group, topic, lane, owner, out - 1) end
  return offer(group, topic, lane)
end

-- Of lanes whose records were not there to be settled: the call came twice, or they were removed. What the member has of them
-- is counted anew, as counting down twice would free a lane that is in use.
local function recount(group, topic, gone, member)
  if not next(gone) then return false end
  local stream, out = streamOf(topic, 'k'), {}
  local held = redis.pcall('XPENDING', stream, group, '-', '+', 100000, member)
  for _, one in ipairs(held.err and {} or held) do
    local entry = call('XRANGE', stream, one[1], one[1])[1]
    local lane = entry and laneOf(keyIn(entry[2]))
    if lane then out[lane] = (out[lane] or 0) + 1 end
  end
  local wake = false
  for lane in pairs(gone) do
    if laneState(group, topic, lane) == member then setLane(group, topic, lane, member, out[lane] or 0) end
    if offer(group, topic, lane) then wake = true end
  end
  return wake
end

-- A record with a key was trimmed while it waited: it holds back nothing any more. Its lane is only known by what it blocks.
local blockers = {}
local function vanished(group, topic, id)
  call('XACK', streamOf(topic, 'k'), group, id)
  local blocking = lanes('block', group, topic)
  if not blockers[blocking] then
    blockers[blocking] = {}
    for _, one in ipairs(call('ZRANGE', blocking, 0, -1)) do blockers[blocking][idIn(one)] = one end
  end
  local one = blockers[blocking][id]
  if not one then return end
  call('ZREM', blocking, one)
  offer(group, topic, one:match('^(.*)%z'))
end

-- A waiting record's time has come.
local function comeBack(group, name)
  local _, id, kind, topic = parseName(name)
  if kind ~= 'k' then
    call('ZADD', T .. ':ready:' .. group, 0, name)
    return
  end
  local entry = call('XRANGE', streamOf(topic, kind), id, id)[1]
  if not entry then
    vanished(group, topic, id)
    return
  end
  local lane = laneOf(keyIn(entry[2]))
  park(group, topic, lane, id)
  offer(group, topic, lane)
end

local function levelOf(kind)
  return kind == 'k' and '2' or kind
end

-- Who holds an entry, and how often it was delivered.
local function holder(stream, group, id)
  local found = redis.pcall('XPENDING', stream, group, id, id, 1)
  if found.err or not found[1] then return nil, 0 end
  return found[1][2], found[1][4]
end

-- Gives back what a consumer holds that is not a member any more, and removes it.
local function bury(root, group, consumer, topics)
  for _, topic in ipairs(topics) do
    local kinds = topicInfo(topic) or ''
    for kind in kinds:gmatch('.') do
      local stream = streamOf(topic, kind)
      local woken = false
      while true do
        local held = redis.pcall('XPENDING', stream, group, '-', '+', 500, consumer)
        if held.err or #held == 0 then break end
        for _, one in ipairs(held) do
          call('XCLAIM', stream, group, PARKED, 0, one[1], 'RETRYCOUNT', one[4], 'JUSTID')
          if kind == 'k' then
            local entry = call('XRANGE', stream, one[1], one[1])[1]
            if entry then
              local lane = laneOf(keyIn(entry[2]))
              if laneState(group, topic, lane) == consumer then setLane(group, topic, lane, consumer, 0) end
              park(group, topic, lane, one[1])
              offer(group, topic, lane)
            else
              call('XACK', stream, group, one[1])
            end
          else
            comeBack(group, nameOf(levelOf(kind), one[1], kind, topic))
          end
        end
        woken = true
      end
      if kind == 'k' then
        -- Lanes of which it held nothing that is still there.
        local all = call('HGETALL', lanes('lanes', group, topic))
        for i = 1, #all, 2 do
          if all[i + 1]:match('^%d+|(.*)$') == consumer then
            setLane(group, topic, all[i], consumer, 0)
            if offer(group, topic, all[i]) then woken = true end
          end
        end
        -- What it was offered is offered to all by now.
        local owned, first, last = lanes('owned', group, topic), '[' .. consumer .. '\\0', '(' .. consumer .. '\\1'
        for _, one in ipairs(call('ZRANGEBYLEX', owned, first, last)) do call('ZREM', owned, one) end
      end
      redis.pcall('XGROUP', 'DELCONSUMER', stream, group, consumer)
      if woken then call('PUBLISH', root .. 'B:' .. topic, kind) end
    end
  end
end

local function sweep(root, group)
  local members = T .. ':members:' .. group
  local topics = topicsOf(patternOf(group))
  for _, topic in ipairs(topics) do
    for kind in (topicInfo(topic) or ''):gmatch('.') do
      local consumers = redis.pcall('XINFO', 'CONSUMERS', streamOf(topic, kind), group)
      for _, info in ipairs(consumers.err and {} or consumers) do
        local name
        for i = 1, #info, 2 do
          if info[i] == 'name' then name = info[i + 1] end
        end
        if name ~= PARKED and not call('ZSCORE', members, name) then bury(root, group, name, topics) end
      end
    end
  end
end
`;
