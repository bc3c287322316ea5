-- Creates, patches or deletes a board, or ends its season. None of it takes longer if the board is larger.
--
-- KEYS: 1 meta, 2 log, 3 answer to the last call of this lane, 4 state, 5 ranks, 6 entries and 9 levels of the season
--       that is the current one then, or was the last one, 7 boards, 8 ZSETs of boards, 10 past seasons, 11 due,
--       12 and 13 counts of submissions, 14 ages, 15 boards whose entries expire, 16… ranks, entries and levels of seasons that are removed, and the change's
--       name, if it has one
-- ARGV: 1 >I8I8 number of the call, time in microseconds after which it must not be carried out any more,
--       2 cap of the log, 3 what to do: create, patch, end or delete, or none, to keep only the name, or
--       recall to ask only for it, 4 board, 5 settings, 6 what scripts need of them
--       (see season.lua), 7 the revision of the settings that the change is made to; none at a creation,
--       8 the ZSET that the board shows, or '', 9 the digest of a change with a name, '-' for a name without one, or '',
--       10 the number of the current season then, 11 when it is due, in milliseconds, or '', 12 the number of the season
--       that is a past one then, or '', 13 its record without rev and revision, 14 how many entries the board keeps, or 0, 15 how many fall off at the
--       most, 16 for how many seconds entries live, or 0 if they stay, 17… numbers of seasons that are removed
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

local what, id = ARGV[3], ARGV[4]
local digest = ARGV[9] ~= '' and ARGV[9]
local kept = digest and call('GET', KEYS[#KEYS])
if kept then
  return recall(kept, digest ~= '-' and digest)
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
if what ~= 'create' and f[2] ~= ARGV[7] then
  return 'T'
end

-- done keeps what came of the change, and returns its answer.
local function done(at, last_number, rev, sr)
  if digest then
    local view = what == 'delete' and '' or kept_view(id, rev, call('ZCARD', KEYS[5]), ARGV[5])
    local text = pack('>c1Bc0I2', 'V', #epoch, epoch, what == 'delete' and 0 or 1) .. view .. pack('>I2', 0)
    call('SET', KEYS[#KEYS], digest .. text, 'PX', ONCE_MS)
  end
  local answer = head(epoch, us) .. pack('>I8I8I8I8I4', at, last_number, rev, sr, call('ZCARD', KEYS[5]))
  call('SET', KEYS[3], pack('>I8', number) .. answer, 'PX', 60000)
  return answer
end

if what == 'none' then
  return done(last, n, f[1], f[2])
end
local rev = (f[1] or 0) + 1
local at = math.max(us, last)
-- The revision of settings is a time, so that it never comes again, whatever is lost.
local sr = math.max(us, (f[2] or 0) + 1)
if what == 'delete' then
  call('HDEL', KEYS[4], 'sr', 'settings', 'k', 'season')
  call('HSET', KEYS[4], 'rev', rev)
  call('UNLINK', KEYS[5], KEYS[6], KEYS[9], KEYS[10], KEYS[12], KEYS[13], KEYS[14])
  call('ZREM', KEYS[7], id)
  call('HDEL', KEYS[8], id)
else
  call('HSET', KEYS[4], 'rev', rev, 'sr', sr, 'settings', ARGV[5], 'k', ARGV[6])
  if what == 'create' then
    call('HDEL', KEYS[4], 'season')
    call('UNLINK', KEYS[5], KEYS[6], KEYS[9], KEYS[10], KEYS[12], KEYS[13], KEYS[14])
    call('ZADD', KEYS[7], 0, id)
    if ARGV[8] ~= '' then
      call('HSET', KEYS[8], id, ARGV[8])
    end
  elseif ARGV[12] ~= '' then
    call('HSET', KEYS[4], 'season', ARGV[10])
    call('HSET', KEYS[10], ARGV[12], pack('>I8I8', f[1], sr) .. ARGV[13])
    call('UNLINK', KEYS[5], KEYS[6], KEYS[9], KEYS[14])
  end
end
if what == 'patch' and ARGV[14] ~= '0' then
  local fall = math.min(call('ZCARD', KEYS[5]) - ARGV[14], ARGV[15])
  local rows = fall > 0 and call('ZRANGE', KEYS[5], -fall, -1, 'WITHSCORES') or {}
  local places, members = {}, {}
  for i = 1, #rows, 2 do
    places[#places + 1] = rows[i]
    members[#members + 1] = string.sub(rows[i], 9)
  end
  if #places > 0 then
    call('ZREM', KEYS[5], unpack(places))
    call('HDEL', KEYS[6], unpack(members))
    call('ZREM', KEYS[14], unpack(members))
  end
  for i = 2, #rows, 2 do
    if call('ZCOUNT', KEYS[5], rows[i], rows[i]) == 0 then
      call('ZREM', KEYS[9], rows[i])
    end
  end
end
local oldest = ARGV[16] ~= '0' and what ~= 'delete' and call('ZRANGE', KEYS[14], 0, 0, 'WITHSCORES') or {}
if oldest[1] then
  call('ZADD', KEYS[15], string.format('%.0f', oldest[2] + ARGV[16] * 1000), id)
else
  call('ZREM', KEYS[15], id)
end
local removed = #KEYS - (digest and 1 or 0)
if removed > 15 then
  call('UNLINK', unpack(KEYS, 16, removed))
  if what ~= 'delete' then
    call('HDEL', KEYS[10], unpack(ARGV, 17))
  end
end
if ARGV[11] ~= '' then
  call('ZADD', KEYS[11], ARGV[11], id)
else
  call('ZREM', KEYS[11], id)
end
log_entry(KEYS[2], ARGV[2], at, n + 1, id, rev)
call('HSET', KEYS[1], 'n', n + 1, 'us', at)
return done(at, n + 1, rev, sr)
