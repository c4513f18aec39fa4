/** Core's rule: "*" is one segment, "#" any number of them. */
export const MATCHES: string = `
local function segments(text)
  local list = {}
  for one in text:gmatch('[^.]+') do list[#list + 1] = one end
  return list
end

local function matches(pattern, topic)
  if pattern == topic or pattern == '#' then return true end
  if not pattern:find('[*#]') then return false end
  local wanted, given = segments(pattern), segments(topic)
  local w, g, hash, resume = 1, 1, 0, 0
  while g <= #given do
    if wanted[w] == '#' then
      hash = w
      w = w + 1
      resume = g
    elseif w <= #wanted and (wanted[w] == '*' or wanted[w] == given[g]) then
      w = w + 1
      g = g + 1
    elseif hash > 0 then
      w = hash + 1
      resume = resume + 1
      g = resume
    else
      return false
    end
  end
  while wanted[w] == '#' do w = w + 1 end
  return w == #wanted + 1
end
`;

/**
 * What the scripts share. `T` is the shard's tag: every key of a shard starts with it, so a script may name keys that it
 * was not given and still stay in one slot. Times are the server's own.
 */
export const LIBRARY: string = `
local T = KEYS[1]
local call = redis.call
local PARKED = '~'

local function now()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- A full server refuses a script whose first write may need memory, and lets all of any other through. What empties it, or
-- has to be there for that, begins with this, which changes nothing.
local function evenWhenFull()
  call('DEL', T .. ':-')
end

local function streamOf(topic, kind)
  return T .. ':stream:' .. topic .. ':' .. kind
end

${MATCHES}
local function patternOf(group)
  return group:sub(group:find('|', 1, true) + 1)
end

-- kinds of streams that a topic has; nil for a topic that is not there
local function topicInfo(topic)
  local value = call('HGET', T .. ':topics', topic)
  if not value then return nil end
  local kinds, most, age = value:match('^(%w*)|([^|]*)|([^|]*)$')
  return kinds, tonumber(most), tonumber(age)
end

local function topicsOf(pattern)
  if not pattern:find('[*#]') then
    if call('HEXISTS', T .. ':topics', pattern) == 1 then return { pattern } end
    return {}
  end
  local found = {}
  for _, topic in ipairs(call('HKEYS', T .. ':topics')) do
    if matches(pattern, topic) then found[#found + 1] = topic end
  end
  return found
end

local function groupsOf(topic)
  local found = {}
  for _, group in ipairs(call('HKEYS', T .. ':groups')) do
    if matches(patternOf(group), topic) then found[#found + 1] = group end
  end
  return found
end

-- In full: Lua itself rounds long numbers and writes them with an exponent.
local function limit(number)
  return number and string.format('%.0f', number) or ''
end

-- A stream gets all groups that match it before its first record: each reads it from there.
local function addKind(topic, kinds, kind, most, age)
  for _, group in ipairs(groupsOf(topic)) do
    local made = redis.pcall('XGROUP', 'CREATE', streamOf(topic, kind), group, '0', 'MKSTREAM')
    if made.err and not made.err:find('BUSYGROUP') then error(made.err) end
  end
  call('HSET', T .. ':topics', topic, kinds .. kind .. '|' .. limit(most) .. '|' .. limit(age))
  call('INCR', T .. ':version')
  return kinds .. kind
end

local function addTopic(topic, most, age)
  return addKind(topic, '', '2', tonumber(most), tonumber(age))
end

-- What an account that may make no group needs: every message finds its stream, and that its groups.
local function completeTopic(topic)
  local kinds, most, age = topicInfo(topic)
  for kind in ('01234k'):gmatch('.') do
    if not kinds:find(kind, 1, true) then kinds = addKind(topic, kinds, kind, most, age) end
  end
end

local function parseId(id)
  local ms, seq = id:match('^(%d+)%-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

local LAST_SEQ = '18446744073709551615'

local function nextId(id)
  local ms, seq = id:match('^(%d+)%-(%d+)$')
  -- More than a number holds exactly: a group that starts at a date is at the last one of a millisecond.
  if seq == LAST_SEQ then return string.format('%.0f-0', tonumber(ms) + 1) end
  return ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)
end

local function before(a, b)
  local aMs, aSeq = parseId(a)
  local bMs, bSeq = parseId(b)
  if aMs ~= bMs then return aMs < bMs end
  return aSeq < bSeq
end

-- The first id that some group still needs, nil when none has a claim; and how many entries from there on at most, nil when
-- that is not known.
local function neededFrom(stream)
  local least
  local most = 0
  for _, info in ipairs(call('XINFO', 'GROUPS', stream)) do
    local group = {}
    for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
    local needed
    if group.pending > 0 then needed = call('XPENDING', stream, group.name)[2] end
    if needed or not group.lag then
      most = nil
    elseif most and group.lag > most then
      most = group.lag
    end
    if not needed then needed = nextId(group['last-delivered-id']) end
    if least == nil or before(needed, least) then least = needed end
  end
  return least, most
end

local LOOK = 1000

-- Removes at most so many, of those before an id. Whole nodes of the stream first: what then remains to be removed lies in
-- one node, so that next to nothing is read. Bodies may be large, and a read would hand them all to the script.
local function trimBefore(stream, id, most)
  local removed = call('XTRIM', stream, 'MINID', '~', id, 'LIMIT', most)
  if removed == most then return removed end
  local rest = #call('XRANGE', stream, '-', '(' .. id, 'COUNT', most - removed)
  if rest == 0 then return removed end
  return removed + call('XTRIM', stream, 'MAXLEN', call('XLEN', stream) - rest)
end

-- Removes what is beyond the retention, but nothing that a group has not settled. Returns how much; of what is too many, so
-- much at most that nobody else waits long.
local function trim(topic, kind, most, age, unacked, exact)
  local stream = streamOf(topic, kind)
  local length = call('XLEN', stream)
  local kept
  if most then
    local slack = exact and 1 or math.max(1, math.min(LOOK, math.floor(most / 10)))
    if length - most >= slack then kept = math.max(most, length - LOOK) end
  end
  if not kept and not age then return 0 end
  local first = call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if not first then return 0 end
  local needed, claimed
  if not unacked then needed, claimed = neededFrom(stream) end
  if needed and not before(first[1], needed) then return 0 end
  local removed = 0
  if kept and (needed == nil or (claimed and claimed <= kept)) then
    removed = call('XTRIM', stream, 'MAXLEN', kept)
  elseif kept then
    removed = trimBefore(stream, needed, length - kept)
  end
  if age then
    local oldest = string.format('%.0f-0', math.max(0, now() - age))
    if needed and before(needed, oldest) then oldest = needed end
    if before(first[1], oldest) then removed = removed + call('XTRIM', stream, 'MINID', oldest) end
  end
  return removed
end

local function append(topic, kind, key, meta, data)
  if kind == 'k' then return call('XADD', streamOf(topic, kind), '*', 'key', key, 'meta', meta, 'data', data) end
  return call('XADD', streamOf(topic, kind), '*', 'meta', meta, 'data', data)
end

-- "b" wakes those who wait for the plain stream by bell, "B" everybody.
local function ring(root, topic, kind)
  call('PUBLISH', root .. (kind == '2' and 'b:' or 'B:') .. topic, kind)
end
`;
