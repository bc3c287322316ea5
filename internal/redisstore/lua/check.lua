-- Looks whether the server is the process whose data this is, and begins a new
-- epoch if it is not: another process may have less than the last one had. If the
-- boards are in another number of partitions, nothing is done.
--
-- KEYS: 1 meta, 2 log
-- ARGV: 1 number of partitions, 2 epoch to begin, 3 time in microseconds behind which the log goes on,
--       4 '1' if there may be nothing yet
--
-- Answers partitions, epoch, run id, time in microseconds, whether an epoch was begun ('1' or '0'), and whether
-- the first start of all partitions is over.

local call = redis.call
local run = string.match(call('INFO', 'server'), 'run_id:(%w+)')
local t = call('TIME')
local us = string.format('%.0f', t[1] * 1000000 + t[2])
local meta = call('HMGET', KEYS[1], 'partitions', 'epoch', 'run', 'ready', 'us')
local begun = '0'
if meta[1] and meta[1] ~= ARGV[1] then
  return { meta[1], meta[2], run, us, begun, meta[4] or '0' }
end
-- Without memory the first write is refused if it needs some; this one does not.
call('HDEL', KEYS[1], 'tried')
if not meta[1] then
  meta = { ARGV[1], ARGV[2], run, false }
  begun = '1'
  call('HSET', KEYS[1], 'partitions', ARGV[1], 'epoch', ARGV[2], 'run', run, 'n', 0, 'us', ARGV[3])
  if ARGV[4] ~= '1' then
    call('HSET', KEYS[1], 'retell', '')
  end
  call('DEL', KEYS[2])
elseif meta[3] ~= run then
  meta[2], begun = ARGV[2], '1'
  call('HSET', KEYS[1], 'epoch', ARGV[2], 'run', run, 'retell', '')
  if tonumber(meta[5]) < tonumber(ARGV[3]) then
    call('HSET', KEYS[1], 'us', ARGV[3])
  end
end
if call('EXISTS', KEYS[2]) == 0 then
  call('XGROUP', 'CREATE', KEYS[2], 'laurel', '0', 'MKSTREAM')
end
return { meta[1], meta[2], run, us, begun, meta[4] or '0' }
