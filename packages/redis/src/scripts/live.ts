/**
 * Where a private subscription begins.
 *
 * ARGV: root, pattern, may create, start (`new` or the id after which it begins), epoch to set where there is none,
 * retention of a topic that has to be made.
 * Returns topic, kind and position of each stream.
 */
export const ATTACH: string = `
local pattern, create, from = ARGV[2], ARGV[3] == '1', ARGV[4]
evenWhenFull()
if not pattern:find('[*#]') and call('HEXISTS', T .. ':topics', pattern) == 0 then
  if not create then return { 'topic' } end
  addTopic(pattern, ARGV[6], ARGV[7])
end
call('SET', T .. ':epoch', ARGV[5], 'NX')
local out = {}
for _, topic in ipairs(topicsOf(pattern)) do
  for kind in topicInfo(topic):gmatch('.') do
    local position = from
    if from == 'new' then
      position = '0-0'
      local info = redis.pcall('XINFO', 'STREAM', streamOf(topic, kind))
      if not info.err then
        for i = 1, #info, 2 do
          if info[i] == 'last-generated-id' then position = info[i + 1] end
        end
      end
    end
    out[#out + 1] = topic
    out[#out + 1] = kind
    out[#out + 1] = position
  end
end
return { 'ok', call('GET', T .. ':epoch'), call('GET', T .. ':version') or '0', out }
`;

/**
 * Reads on, without leaving anything behind.
 *
 * ARGV: root, most; then of each topic: its name, how many positions, and of each the kind, the last id read, and the id that
 * follows: `-` where that was the end, nothing where none was read. A kind without a position is read from its first record.
 * Returns topic, kind, 0, entries, the id that follows and whether something was removed unread, of each stream.
 */
export const FOLLOW: string = `
local want = tonumber(ARGV[2])
local out = {}

-- What followed is known to be gone; or more came since the end than the topic keeps, and what was the end is gone, too.
local function missed(stream, last, following, entries, most)
  if following == '' or entries[1][1] == following then return false end
  if following == '-' then
    if not most or #entries < math.min(want + 1, most) or call('XLEN', stream) < most then return false end
    following = last
  end
  return before(following, call('XRANGE', stream, '-', '+', 'COUNT', 1)[1][1])
end

local at = 3
while at <= #ARGV and want > 0 do
  local topic, count = ARGV[at], tonumber(ARGV[at + 1])
  local positions = {}
  for i = at + 2, at + 1 + 3 * count, 3 do positions[ARGV[i]] = { ARGV[i + 1], ARGV[i + 2] } end
  at = at + 2 + 3 * count
  local kinds, most = topicInfo(topic)
  for kind in ('012k34'):gmatch('.') do
    if want > 0 and kinds and kinds:find(kind, 1, true) then
      local stream = streamOf(topic, kind)
      local last, following = unpack(positions[kind] or { '0-0', '' })
      local entries = call('XRANGE', stream, '(' .. last, '+', 'COUNT', want + 1)
      if #entries > 0 then
        local gap = missed(stream, last, following, entries, most) and 1 or 0
        following = #entries > want and table.remove(entries)[1] or '-'
        out[#out + 1] = { topic, kind, 0, entries, following, gap }
        want = want - #entries
      end
    end
  end
end
return out
`;

/** The topics that match. ARGV: root, pattern. */
export const TOPICS: string = `
return { call('GET', T .. ':version') or '0', topicsOf(ARGV[2]) }
`;
