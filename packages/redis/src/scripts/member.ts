import { WAITING } from './waiting.ts';

/**
 * Makes a group where it is missing, and a member of it.
 *
 * ARGV: root, group, member or nothing, milliseconds of its lease, may create, start, epoch to set where there is none,
 * retention of a topic that has to be made.
 */
export const JOIN: string = `${WAITING}
local group, member, lease, create, from = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5] == '1', ARGV[6]
local pattern = patternOf(group)
evenWhenFull()
if not pattern:find('[*#]') and call('HEXISTS', T .. ':topics', pattern) == 0 then
  if not create then return { 'topic' } end
  -- First what an account may be forbidden: then nothing is left of the attempt.
  local made = redis.pcall('XGROUP', 'CREATE', streamOf(pattern, '2'), group, from, 'MKSTREAM')
  if made.err and not made.err:find('BUSYGROUP') then error(made.err) end
  addTopic(pattern, ARGV[8], ARGV[9])
end
-- Only the admin makes a group without a member.
if member == '' then
  for _, topic in ipairs(topicsOf(pattern)) do completeTopic(topic) end
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
  call('UNLINK', T .. ':deleted:' .. group)
end
call('SET', T .. ':epoch', ARGV[7], 'NX')
if member ~= '' then call('ZADD', T .. ':members:' .. group, now() + lease, member) end
return { 'ok', call('GET', T .. ':epoch'), call('GET', T .. ':version') or '0', topicsOf(pattern) }
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
 * Returns the epoch, the version of the list of topics, and for each member 1, 0 (given up), -1 (its group was
 * deleted) or -2 (its group was lost).
 */
export const BEAT: string = `${WAITING}
local root, lease, look = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'
local time = now()
local states = {}
local groups = {}
evenWhenFull()
for at = 4, #ARGV, 2 do
  local group, member = ARGV[at], ARGV[at + 1]
  local members = T .. ':members:' .. group
  if call('ZSCORE', members, member) then
    call('ZADD', members, time + lease, member)
    listed(group)
    states[#states + 1] = 1
    groups[group] = true
  else
    local state = call('HEXISTS', T .. ':groups', group) - 1
    states[#states + 1] = state == -1 and isDropped(group) and -2 or state
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
