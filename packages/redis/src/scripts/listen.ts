const INDEX = `
-- Where a group of listeners is looked for: beside its one topic, or among the patterns.
local function indexOf(field)
  local pattern = patternOf(field:sub(3))
  return T .. ':listening:' .. (pattern:find('[*#]') and '*' or pattern)
end
`;

/**
 * Who listens to ephemeral topics in a group, or answers requests. The lease bounds how long a dead one stays.
 *
 * ARGV: root, milliseconds of the lease; then field and member of each.
 */
export const LISTEN: string = `${INDEX}
local lease = tonumber(ARGV[2])
local time = now()
local indexes = {}
evenWhenFull()
for at = 3, #ARGV, 2 do
  local members, index = T .. ':listeners:' .. ARGV[at], indexOf(ARGV[at])
  call('HSET', index, ARGV[at], '')
  call('PEXPIRE', index, lease)
  call('ZREMRANGEBYSCORE', members, '-inf', time)
  call('ZADD', members, time + lease, ARGV[at + 1])
  call('PEXPIRE', members, lease)
  indexes[index] = true
end
for index in pairs(indexes) do
  for _, field in ipairs(call('HKEYS', index)) do
    if call('EXISTS', T .. ':listeners:' .. field) == 0 then call('HDEL', index, field) end
  end
end
return 1
`;

/** ARGV: root, field, member. */
export const UNLISTEN: string = `${INDEX}
local members = T .. ':listeners:' .. ARGV[2]
call('ZREM', members, ARGV[3])
if call('EXISTS', members) == 0 then call('HDEL', indexOf(ARGV[2]), ARGV[2]) end
return 1
`;
