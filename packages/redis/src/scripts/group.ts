/** What the scripts of groups share: where a record waits that comes again, and the lanes of keys. */
const WAITING = `
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

-- A waiting record's time has come.
local function comeBack(group, name)
  local _, id, kind, topic = parseName(name)
  if kind ~= 'k' then
    call('ZADD', T .. ':ready:' .. group, 0, name)
    return
  end
  local entry = call('XRANGE', streamOf(topic, kind), id, id)[1]
  if not entry then return end
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

/**
 * Makes a group where it is missing, and a member of it.
 *
 * ARGV: root, group, member or nothing, milliseconds of its lease, may create, start, epoch to set where there is none,
 * retention of a topic that has to be made.
 */
export const JOIN: string = `${WAITING}
local group, member, lease, create, from = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5] == '1', ARGV[6]
local pattern = patternOf(group)
if not pattern:find('[*#]') and call('HEXISTS', T .. ':topics', pattern) == 0 then
  if not create then return { 'topic' } end
  -- First what an account may be forbidden: then nothing is left of the attempt.
  local made = redis.pcall('XGROUP', 'CREATE', streamOf(pattern, '2'), group, from, 'MKSTREAM')
  if made.err and not made.err:find('BUSYGROUP') then error(made.err) end
  addTopic(pattern, ARGV[8], ARGV[9])
end
if call('HEXISTS', T .. ':groups', group) == 0 then
  if not create then return { 'group' } end
  for _, topic in ipairs(topicsOf(pattern)) do
    for kind in topicInfo(topic):gmatch('.') do
      local made = redis.pcall('XGROUP', 'CREATE', streamOf(topic, kind), group, from, 'MKSTREAM')
      if made.err and not made.err:find('BUSYGROUP') then error(made.err) end
    end
  end
  call('HSET', T .. ':groups', group, string.format('%.0f', now()))
end
call('SET', T .. ':epoch', ARGV[7], 'NX')
if member ~= '' then call('ZADD', T .. ':members:' .. group, now() + lease, member) end
return { 'ok', call('GET', T .. ':epoch'), call('GET', T .. ':version') or '0', topicsOf(pattern) }
`;

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
  if call('HEXISTS', T .. ':groups', group) == 0 then return { 'gone', call('GET', T .. ':epoch') or '' } end
  return { 'dead' }
end
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
    if blocker and blocker ~= first then
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
    local wake = false
    for i = at, at + 2 * count - 1, 2 do
      local lane = laneOf(ARGV[i + 1])
      call('XACK', stream, group, ARGV[i])
      call('ZREM', lanes('block', group, topic), inLane(lane, ARGV[i]))
      if returned(group, topic, lane, me) then wake = true end
    end
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
-- This call once more, after its answer was lost.
if owner == PARKED and count == attempt then return 1 end
if owner ~= me or not call('ZSCORE', T .. ':members:' .. group, me) then return 0 end
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
local topics = {}
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
    returned(group, topic, laneOf(key), me)
  end
end
for topic, kind in pairs(topics) do call('PUBLISH', root .. 'B:' .. topic, kind) end
return 1
`;

/** What a member holds: after a lost connection nobody else knows of what was on its way. ARGV: root, group, member. */
export const HELD: string = `
local group, me = ARGV[2], ARGV[3]
local out = {}
for _, topic in ipairs(topicsOf(patternOf(group))) do
  for kind in (topicInfo(topic) or ''):gmatch('.') do
    local held = redis.pcall('XPENDING', streamOf(topic, kind), group, '-', '+', 100000, me)
    for _, one in ipairs(held.err and {} or held) do
      out[#out + 1] = topic
      out[#out + 1] = kind
      out[#out + 1] = one[1]
    end
  end
end
return out
`;

/**
 * Renews leases, and gives up members whose lease has run out.
 *
 * ARGV: root, milliseconds of a lease, whether to look for dead members; then group and member of each.
 * Returns the epoch, the version of the list of topics, and for each member 1, 0 (given up) or -1 (no such group).
 */
export const BEAT: string = `${WAITING}
local root, lease, look = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'
local time = now()
local states = {}
local groups = {}
for at = 4, #ARGV, 2 do
  local group, member = ARGV[at], ARGV[at + 1]
  local members = T .. ':members:' .. group
  if call('ZSCORE', members, member) then
    call('ZADD', members, time + lease, member)
    states[#states + 1] = 1
    groups[group] = true
  else
    states[#states + 1] = call('HEXISTS', T .. ':groups', group) - 1
  end
end
if look then
  for group in pairs(groups) do
    local members = T .. ':members:' .. group
    local gone = call('ZREMRANGEBYSCORE', members, '-inf', '(' .. string.format('%.0f', time))
    -- Also what nobody knows of any more, now and then: a read of a member that was given up may have come late.
    local turn = call('SET', T .. ':swept:' .. group, 1, 'NX', 'PX', lease)
    if gone > 0 or turn then sweep(root, group) end
  end
end
return { call('GET', T .. ':epoch') or '', call('GET', T .. ':version') or '0', states }
`;

/** A member goes; what it has not settled goes to others, counted. ARGV: root, group, member. */
export const LEAVE: string = `${WAITING}
local root, group, me = ARGV[1], ARGV[2], ARGV[3]
call('ZREM', T .. ':members:' .. group, me)
bury(root, group, me, topicsOf(patternOf(group)))
return 1
`;
