/**
 * The topics of a shard to trim by the clock, unless somebody has just asked.
 *
 * ARGV: root, whether unsettled records may be trimmed, milliseconds that the next who ask get nothing.
 */
export const TRIMMABLE: string = `
evenWhenFull()
if not call('SET', T .. ':trimmed:' .. ARGV[2], 1, 'NX', 'PX', ARGV[3]) then return {} end
return call('HKEYS', T .. ':topics')
`;

/** ARGV: root, whether unsettled records may be trimmed; then topics. Returns those of which there may be more to remove. */
export const TRIM: string = `
local unacked = ARGV[2] == '1'
local more = {}
for i = 3, #ARGV do
  local kinds, most, age = topicInfo(ARGV[i])
  local again = false
  for kind in (kinds or ''):gmatch('.') do
    -- One that cannot be trimmed must not keep the others.
    local fine, removed = pcall(trim, ARGV[i], kind, most, age, unacked)
    if fine and removed >= LOOK then again = true end
  end
  if again then more[#more + 1] = ARGV[i] end
end
return more
`;
