-- Tells boards of the partition again, at the revs that they have, some at a time.
--
-- KEYS: 1 meta, 2 log, 3 boards, then the states of the boards that are to be told
-- ARGV: 1 cap of the log, 2 the place up to which boards were told before, 3… the boards, in their order; none ends it
--
-- Answers 'G', 'T' if the place is another one; or 'K'.

local epoch, n, last = begin()
if not epoch then
  return 'G'
end
if call('HGET', KEYS[1], 'retell') ~= ARGV[2] then
  return 'T'
end
if #ARGV == 2 then
  call('HDEL', KEYS[1], 'retell')
  return 'K'
end
local us = math.max(now(), last)
for i = 3, #ARGV do
  local rev = call('HGET', KEYS[i + 1], 'rev')
  if rev then
    n = n + 1
    log_entry(KEYS[2], ARGV[1], us, n, ARGV[i], tonumber(rev))
  end
end
call('HSET', KEYS[1], 'n', n, 'us', us, 'retell', ARGV[#ARGV])
return 'K'
