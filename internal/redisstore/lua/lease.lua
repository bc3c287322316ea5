-- Looks after the lease by which one node at a time tells a partition's changes.
--
-- KEYS: 1 meta, 2 lease, 3 batches over several partitions that are under way, 4 decisions about them
-- ARGV: 1 node, 2 time to live in milliseconds, 3 what to do: keep it if the node has it, take it if nobody has it,
--       or drop it, 4 '1' to try whether the server takes writes that need memory
--
-- Answers 'G'; or 'K', whose it is then: 'mine', 'free' or 'taken', whether all boards are to be told again ('1' or
-- '0'), the oldest batch under way that may be given up or '', the number of decisions, and the number and time
-- of the last log entry.

local epoch, n, us = begin()
if not epoch then
  return 'G'
end
local refused = ''
if ARGV[4] == '1' then
  -- It has to be the first write: later ones are not refused.
  local tried = redis.pcall('HSET', KEYS[1], 'tried', 1)
  refused = type(tried) == 'table' and tried.err or ''
end
local holder = call('GET', KEYS[2])
if ARGV[3] == 'drop' then
  if holder == ARGV[1] then
    call('DEL', KEYS[2])
    holder = false
  end
elseif holder == ARGV[1] then
  call('PEXPIRE', KEYS[2], ARGV[2])
elseif ARGV[3] == 'take' and not holder then
  -- Where memory is short, the first write is refused if it needs some.
  call('DEL', KEYS[2])
  call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  holder = ARGV[1]
end
local whose = holder == ARGV[1] and 'mine' or holder and 'taken' or 'free'
local old = call('ZRANGEBYSCORE', KEYS[3], '-inf', now(), 'LIMIT', 0, 1)[1] or ''
return {
  'K', whose, tostring(call('HEXISTS', KEYS[1], 'retell')), old, tostring(call('HLEN', KEYS[4])),
  string.format('%.0f', us), string.format('%.0f', n), refused, epoch,
}
