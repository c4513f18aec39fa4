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
 * ARGV: root, most; then of each topic: its name, how many positions, and kind and position of each. A kind without a
 * position is read from its first record.
 */
export const FOLLOW: string = `
local want = tonumber(ARGV[2])
local out = {}
local at = 3
while at <= #ARGV and want > 0 do
  local topic, count = ARGV[at], tonumber(ARGV[at + 1])
  local positions = {}
  for i = at + 2, at + 1 + 2 * count, 2 do positions[ARGV[i]] = ARGV[i + 1] end
  at = at + 2 + 2 * count
  local kinds = topicInfo(topic) or ''
  for kind in ('012k34'):gmatch('.') do
    if want > 0 and kinds:find(kind, 1, true) then
      local entries = call('XRANGE', streamOf(topic, kind), '(' .. (positions[kind] or '0-0'), '+', 'COUNT', want)
      if #entries > 0 then
        out[#out + 1] = { topic, kind, 0, entries }
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
