-- Says that a node is there, or that it goes, and counts those that are.
--
-- KEYS: 1 meta, 2 nodes
-- ARGV: 1 node, 2 milliseconds after which a node counts as gone that has not been heard of, 3 '1' if it goes

if not begin() then
  return 'G'
end
local ms = math.floor(now() / 1000)
if ARGV[3] == '1' then
  call('ZREM', KEYS[2], ARGV[1])
else
  -- Where memory is short this is refused; leases are kept without it.
  redis.pcall('ZADD', KEYS[2], ms, ARGV[1])
end
call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ms - ARGV[2])
return { 'K', tostring(call('ZCARD', KEYS[2])) }
