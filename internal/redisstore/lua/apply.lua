-- Carries out batches of one partition, each all or not at all.
--
-- KEYS: 1 meta, 2 log, 3 answer to the last call of this lane, then the boards' as batch.lua has them, then names of
--       batches
-- ARGV: 1 >I8I8 number of the call, time in microseconds after which it must not be carried out any more,
--       2 cap of the log, 3… the batches, see batch.lua
--
-- Answers 'G' (look at the server first), 'L' and the time (too late), 'S'
-- (a later call of the lane has been answered), or head, I8I8 time and number of
-- the last log entry, the boards, and what became of each batch: 'O' and for each operation >B flag (0 not
-- better, or full, 1 moved, 2 its score stays equal, 3 removed; +4 if it was there before; +8 if the rev follows; +16 if B how
-- many fell off does), d score before, I4I4 ranks
-- before and after, 0-based, d rev of the entry; of a batch with a digest 'V', Bc0 epoch, I2 how many boards, for each Bc0 id, I8 rev,
-- I4 entries, I2c0 settings, I2 how many operations and for each the same with d score after behind it; 'R' the name was used;
-- 'D' for a batch with another digest; 'W', I4c0 what is kept of it; or why not ('N' no board, 'M' no member, 'X' score, 'C' condition, 'Q' too many submissions, 'T' settings, 'L' lock) with
-- I2 index of the operation, B whether the member is there, d its score, or by a condition its rev.
-- A call that was answered is answered again with the same words.

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

load(ARGV, 3, 4, nil)
local list = ARGV[4]
local count, pos = unpack_struct('>I2', list)
for _ = 1, count do
  local ops, ms, name, digest, size
  ops, ms, name, digest, pos, size = header(list, pos)
  if decide(ops, ms, name, digest, pos, size) then
    carry_out(ops, ms, name, digest, epoch)
  end
  pos = pos + size * ops
end
local at, to = write(KEYS[2], ARGV[2], us, n, last)
if to == n then
  -- Nothing has changed, so this may be the first write, which without memory is refused if it needs some.
  call('DEL', KEYS[3])
end
local answer = head(epoch, us) .. pack('>I8I8', at, to) .. describe() .. table.concat(parts)
call('SET', KEYS[3], pack('>I8', number) .. answer, 'PX', 60000)
return answer
