-- Tells boards as changed whose ZSETs have changed.
--
-- KEYS: 1 meta, 2 log, 3 lease, 4 ZSETs of boards, then the states of the boards
-- ARGV: 1 cap of the log, 2 node, then for each board: its id, its ZSET
--
-- Answers 'G'; 'F' if the node has not got the lease; or 'K'.

local epoch, n, last = begin()
if not epoch then
  return 'G'
end
if call('GET', KEYS[3]) ~= ARGV[2] then
  return 'F'
end
local us, changed = math.max(now(), last), false
for i = 5, #KEYS do
  local id, zset = ARGV[2 * i - 7], ARGV[2 * i - 6]
  if call('HGET', KEYS[4], id) == zset then
    n, changed = n + 1, true
    log_entry(KEYS[2], ARGV[1], us, n, id, call('HINCRBY', KEYS[i], 'rev', 1))
  end
end
if changed then
  call('HSET', KEYS[1], 'n', n, 'us', us)
end
return 'K'
