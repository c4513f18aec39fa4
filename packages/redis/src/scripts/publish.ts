const REFUSING = `
local refused = {}
local function refuse(place, reason)
  refused[#refused + 1] = place
  refused[#refused + 1] = tostring(type(reason) == 'table' and reason.err or reason)
end

-- For TURN, as the answer may be lost. Of those before the oldest that waits for its answer nobody asks any more.
local function refusedOf(counter, number, oldest)
  if #refused == 0 then return nil end
  local noted = counter .. ':refused'
  for _, earlier in ipairs(redis.call('HKEYS', noted)) do
    if tonumber(earlier) < tonumber(oldest) then redis.call('HDEL', noted, earlier) end
  end
  redis.call('HSET', noted, number, cjson.encode(refused))
  redis.call('PEXPIRE', noted, 3600000)
  return refused
end
`;

/**
 * Stores what one tick published, in the order of the calls.
 *
 * ARGV: root, may create, the counter of this publisher, number of this call, milliseconds of the deduplication window,
 * whether unsettled records may be trimmed, number of the oldest call without an answer; then the operations, each with a
 * letter. A call out of turn does nothing and says `gap`: so what is sent again after a lost connection is there once, and
 * what still comes over the lost one does no harm. A counter that is missing answers 1, which is nobody's turn.
 *
 * Returns nothing, or the places of the operations that were refused, each with the reason.
 */
export const STORE: string = `${REFUSING}
local root, create, counter, number = ARGV[1], ARGV[2] == '1', ARGV[3], tonumber(ARGV[4])
local window, unacked = tonumber(ARGV[5]), ARGV[6] == '1'
local turn = call('INCR', counter)
if turn ~= number then
  if turn == 1 then call('DEL', counter) else call('DECR', counter) end
  return 'gap'
end

local at, place = 8, 0

local function prepare(topic, kind, most, age)
  local kinds, most2, age2 = topicInfo(topic)
  if kinds == nil then
    if not create then return nil end
    kinds = addTopic(topic, most, age)
    most2, age2 = tonumber(most), tonumber(age)
  end
  if not kinds:find(kind, 1, true) then addKind(topic, kinds, kind, most2, age2) end
  return true, most2, age2
end

local function finish(topic, kind, most, age)
  -- What is stored is stored, whatever becomes of this.
  if most or age then pcall(trim, topic, kind, most, age, unacked) end
  ring(root, topic, kind)
end

local operations = {}

-- topic, retention, kind, count, then meta and data of each
operations.a = function()
  local topic, kind, count = ARGV[at + 1], ARGV[at + 4], tonumber(ARGV[at + 5])
  local first = at + 6
  local ready, most, age = prepare(topic, kind, ARGV[at + 2], ARGV[at + 3])
  at = first + 2 * count
  if not ready then return 'topic' end
  local stream = streamOf(topic, kind)
  for i = first, at - 1, 2 do call('XADD', stream, '*', 'meta', ARGV[i], 'data', ARGV[i + 1]) end
  finish(topic, kind, most, age)
end

-- the same with keys
operations.k = function()
  local topic, count = ARGV[at + 1], tonumber(ARGV[at + 4])
  local first = at + 5
  local ready, most, age = prepare(topic, 'k', ARGV[at + 2], ARGV[at + 3])
  at = first + 3 * count
  if not ready then return 'topic' end
  local stream = streamOf(topic, 'k')
  for i = first, at - 1, 3 do
    call('XADD', stream, '*', 'key', ARGV[i], 'meta', ARGV[i + 1], 'data', ARGV[i + 2])
  end
  finish(topic, 'k', most, age)
end

-- one that is delayed or must not come twice: topic, retention, kind, key, deduplication key, due, id, meta, data
operations.x = function()
  local topic, kind, key, once, due, id, meta, data = ARGV[at + 1], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], tonumber(ARGV[at + 7]), ARGV[at + 8], ARGV[at + 9], ARGV[at + 10]
  local ready, most, age = prepare(topic, kind, ARGV[at + 2], ARGV[at + 3])
  at = at + 11
  if not ready then return 'topic' end
  local time = now()
  if once ~= '' then
    local seen = T .. ':seen:' .. topic
    local till = call('ZSCORE', seen, once)
    if till and tonumber(till) > time then return end
    call('ZREMRANGEBYSCORE', seen, '-inf', time)
    call('ZADD', seen, time + window, once)
    -- As long as the longest window of all buses.
    call('PEXPIRE', seen, window, 'NX')
    call('PEXPIRE', seen, window, 'GT')
  end
  if due and due > time then
    local head = call('ZRANGE', T .. ':delayed', 0, 0, 'WITHSCORES')
    -- An id need not be unique.
    while call('HEXISTS', T .. ':delayed:' .. topic, id) == 1 do id = id .. '\\0' end
    call('HSET', T .. ':delayed:' .. topic, id, cmsgpack.pack({ kind, key, meta, data, once }))
    call('ZADD', T .. ':delayed', due, topic .. ' ' .. id)
    if head[2] == nil or due < tonumber(head[2]) then call('PUBLISH', root .. 'd', T) end
    return
  end
  append(topic, kind, key, meta, data)
  finish(topic, kind, most, age)
end

local sizes = { x = 11 }
while at <= #ARGV do
  local operation = ARGV[at]
  local next = at + (sizes[operation] or (operation == 'a' and 6 + 2 * tonumber(ARGV[at + 5])) or (5 + 3 * tonumber(ARGV[at + 4])))
  local fine, reason = pcall(operations[operation])
  if reason then refuse(place, reason) end
  at = next
  place = place + 1
end
return refusedOf(counter, number, ARGV[7])
`;

/**
 * The same for streams that are known to be there and not to need trimming, which is nearly always: a third of the work.
 *
 * ARGV: counter, number of this call, number of the oldest call without an answer; then of each stream: its name, channel
 * and text of its bell, how many entries of how many values, and these. Says `slow` where a stream or its topic is not there
 * after all.
 */
export const STORE_PLAIN: string = `${REFUSING}
local call = redis.call
local counter = ARGV[1]
local turn = call('INCR', counter)
if turn ~= tonumber(ARGV[2]) then
  if turn == 1 then call('DEL', counter) else call('DECR', counter) end
  return 'gap'
end
local at = 4
while at <= #ARGV do
  -- The name: tag, ":stream:", topic, ":" and kind.
  local topic = ARGV[at]:sub(#KEYS[1] + 9, -3)
  if call('EXISTS', ARGV[at]) == 0 or call('HEXISTS', KEYS[1] .. ':topics', topic) == 0 then
    call('DECR', counter)
    return 'slow'
  end
  at = at + 5 + ARGV[at + 3] * ARGV[at + 4]
end
local function add(stream, size, first, last)
  if size == 2 then
    for i = first, last, 2 do call('XADD', stream, '*', 'meta', ARGV[i], 'data', ARGV[i + 1]) end
  else
    for i = first, last, 3 do
      call('XADD', stream, '*', 'key', ARGV[i], 'meta', ARGV[i + 1], 'data', ARGV[i + 2])
    end
  end
end

local place = 0
at = 4
while at <= #ARGV do
  local stream, channel, kind, size = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 4])
  local first = at + 5
  at = first + ARGV[at + 3] * size
  local fine, reason = pcall(add, stream, size, first, at - 1)
  if fine then call('PUBLISH', channel, kind) else refuse(place, reason) end
  place = place + 1
end
return refusedOf(counter, ARGV[2], ARGV[3])
`;

/**
 * Begins a new run of numbers: what still comes over an earlier connection is out of turn from here on.
 *
 * ARGV: counter before or nothing, the new counter, its milliseconds. Returns how far the one before came, then numbers of
 * calls and what of each was refused; the same again when the same is asked again, since an answer may be lost.
 */
export const TURN: string = `
local from = ARGV[2] .. ':from'
local known = redis.call('GET', from)
if known then return cmsgpack.unpack(known) end
local reached = { '' }
if ARGV[1] ~= '' then
  reached[1] = redis.call('GETDEL', ARGV[1]) or ''
  for _, one in ipairs(redis.call('HGETALL', ARGV[1] .. ':refused')) do reached[#reached + 1] = one end
  redis.call('DEL', ARGV[1] .. ':refused')
end
redis.call('SET', ARGV[2], 1, 'PX', ARGV[3])
redis.call('SET', from, cmsgpack.pack(reached), 'PX', ARGV[3])
return reached
`;
