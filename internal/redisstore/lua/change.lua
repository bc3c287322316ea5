-- Creates, patches or deletes a board.
--
-- KEYS: 1 meta, 2 log, 3 answer to the last call of this lane, 4 state, 5 ranks, 6 entries, 7 boards, 8 ZSETs of boards,
--       9 levels, 10 and 11 counts of submissions, 12 the change's name, if it has one
-- ARGV: 1 >I8I8 number of the call, time in microseconds after which it must not be carried out any more,
--       2 cap of the log, 3 what to do: create, patch or delete, or
--       recall to ask only for the name, 4 board, 5 settings, 6 what scripts need of them
--       (see entries.lua), 7 the revision of the settings that a patch is made to,
--       8 the ZSET that the board shows, or '', 9 the digest of a change with a name
--
-- Answers 'G', 'L', 'S' as apply does; 'E' there is such a board, 'N' there is none, 'T' other settings, 'B' and
-- the lock; of a change with a name R, D or W as apply does; or head,
-- I8I8 time and number of the log entry, I8 rev, I8 revision of the settings, I4 entries.

local epoch, n, last = begin()
if not epoch then
  return 'G'
end
local number, deadline = unpack_struct('>I8I8', ARGV[1])
local before = call('GETRANGE', KEYS[3], 0, 7)
if #before == 8 then
  local answered = unpack_struct('>I8', before)
  if answered == number then
    return string.sub(call('GET', KEYS[3]), 9)
  end
  if answered > number then
    return 'S'
  end
end
local us = now()
if us > deadline then
  return pack('>c1I8', 'L', us)
end

local what, id, digest = ARGV[3], ARGV[4], ARGV[9]
local kept = digest and call('GET', KEYS[12])
if kept then
  return recall(kept, digest)
end
if what == 'recall' then
  return 'N'
end
local f = call('HMGET', KEYS[4], 'rev', 'sr', 'lock')
if f[3] then
  return 'B' .. f[3]
end
if what == 'create' and f[2] then
  return 'E'
end
if what ~= 'create' and not f[2] then
  return 'N'
end
if what == 'patch' and f[2] ~= ARGV[7] then
  return 'T'
end

local rev = (f[1] or 0) + 1
local at = math.max(us, last)
-- The revision of settings is a time, so that it never comes again, whatever is lost.
local sr = math.max(us, (f[2] or 0) + 1)
if what == 'delete' then
  call('HDEL', KEYS[4], 'sr', 'settings', 'k')
  call('HSET', KEYS[4], 'rev', rev)
  call('UNLINK', KEYS[5], KEYS[6], KEYS[9], KEYS[10], KEYS[11])
  call('ZREM', KEYS[7], id)
  call('HDEL', KEYS[8], id)
else
  call('HSET', KEYS[4], 'rev', rev, 'sr', sr, 'settings', ARGV[5], 'k', ARGV[6])
  if what == 'create' then
    call('UNLINK', KEYS[5], KEYS[6], KEYS[9], KEYS[10], KEYS[11])
    call('ZADD', KEYS[7], 0, id)
    if ARGV[8] ~= '' then
      call('HSET', KEYS[8], id, ARGV[8])
    end
  end
end
log_entry(KEYS[2], ARGV[2], at, n + 1, id, rev)
call('HSET', KEYS[1], 'n', n + 1, 'us', at)
if digest then
  local view = what == 'delete' and '' or kept_view(id, rev, call('ZCARD', KEYS[5]), ARGV[5])
  local text = pack('>c1Bc0I2', 'V', #epoch, epoch, what == 'delete' and 0 or 1) .. view .. pack('>I2', 0)
  call('SET', KEYS[12], digest .. text, 'PX', ONCE_MS)
end
local answer = head(epoch, us) .. pack('>I8I8I8I8I4', at, n + 1, rev, sr, call('ZCARD', KEYS[5]))
call('SET', KEYS[3], pack('>I8', number) .. answer, 'PX', 60000)
return answer
