-- Ends a batch over several partitions in this one: carries it out or drops it, and unlocks its boards. To do so
-- again is harmless.
--
-- KEYS: 1 meta, 2 log, 3 intent, 4 what became of it, 5 intents, 6 decisions, then the boards' as batch.lua has them,
--       then the batch's name
-- ARGV: 1 >I8 time in microseconds after which it must not be carried out any more, 2 cap of the log, 3 lock,
--       4 'C' to carry it out or 'A' to drop it, 5 '1' if it is decided here, and now if it has not been before,
--       6 boards, as their ids, each with ':' and the season behind it if that is not the first, '<' if that has ended,
--       '=' if ranks are dense, '+' if submissions are limited and '*' if entries expire, 7 milliseconds for which it is
--       remembered what became of it
--
-- Answers 'G', 'L' as apply does; 'T' and the boards, if they are others; 'A' it was dropped; 'U' it is to be carried
-- out, and there is nothing of it; or as apply does what became of it.

local epoch, n, last = begin()
if not epoch then
  return 'G'
end
local done = call('GET', KEYS[4])
if done then
  return done
end
local us = now()
if us > unpack_struct('>I8', ARGV[1]) then
  return pack('>c1I8', 'L', us)
end
local lock, verdict, ttl = ARGV[3], ARGV[4], ARGV[7]
local found = call('LRANGE', KEYS[3], 0, -1)
if found[1] and found[1] ~= ARGV[6] then
  return 'T' .. found[1]
end

local record = false
if ARGV[5] == '1' then
  record = call('HGET', KEYS[6], lock)
  -- What is not there any more nobody can carry out.
  verdict = not record and 'A' or string.sub(record, 1, 1) == 'P' and verdict or string.sub(record, 1, 1)
end
-- The first write is one that memory is never too short for.
call('DEL', KEYS[3])
if record then
  call('HSET', KEYS[6], lock, verdict .. string.sub(record, 2))
else
  call('ZREM', KEYS[5], lock)
end
local answer = verdict == 'A' and 'A' or 'U'
if verdict == 'C' and found[1] then
  load(found, 2, 7, lock)
  local ops, ms, name, digest, pos, size = header(found[3], 3)
  local keep = digest or found[#found] == KEEP
  if decide(ops, ms, name, digest, pos, size) then -- as it was when it was prepared: the boards have been locked since
    carry_out(ops, ms, name, digest, epoch, lock, keep)
    if keep then
      ttl = ONCE_MS
    end
    local at
    at, n = write(KEYS[2], ARGV[2], us, n, last)
    answer = head(epoch, us) .. pack('>I8I8', at, n) .. describe() .. table.concat(parts)
  end
end
if found[1] then
  local key = 7
  for board in string.gmatch(ARGV[6], '[^/]+') do
    local state = KEYS[key]
    local function with(mark) return string.find(board, mark, 1, true) and 1 or 0 end
    key = key + 3 + with('=') + 2 * with('+') + with('<') + 2 * with('*')
    if call('HGET', state, 'lock') == lock then
      call('HDEL', state, 'lock')
    end
  end
end
if answer ~= 'U' then
  call('SET', KEYS[4], answer, 'PX', ttl)
end
return answer
