-- Says that a node is there, or that it goes, and counts those that are.
--
-- KEYS: 1 meta, 2 nodes
-- ARGV: 1 node, 2 milliseconds after which a node counts as gone that has not been heard of, 3 '1' if it goes
--
-- Answers 'G'; or 'K', how many there are, and how many of them stand before this one when they are ordered by name.

if not begin() then
  return 'G'
end
local ms = math.floor(now() / 1000)
call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ms - ARGV[2])
if ARGV[3] == '1' then
  call('ZREM', KEYS[2], ARGV[1])
else
  -- Not the first write, as that is refused where memory is short.
  call('ZADD', KEYS[2], ms, ARGV[1])
end
local nodes, before = call('ZRANGE', KEYS[2], 0, -1), 0
for i = 1, #nodes do
  if nodes[i] < ARGV[1] then
    before = before + 1
  end
end
return { 'K', tostring(#nodes), tostring(before) }
