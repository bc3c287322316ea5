-- Writes down a batch over several partitions as far as it concerns this one, and locks its boards. Nothing of it
-- is seen before it is decided.
--
-- KEYS: 1 meta, 2 intent, 3 what became of it, 4 intents, 5 decisions, then the boards' as batch.lua has them, then
--       the batch's name
-- ARGV: 1 >I8 time in microseconds after which it must not be carried out any more, 2 lock, or '' to look only
--       whether the batch can be carried out, 3 microseconds after which it may be given up, 4 its partitions if
--       this is the one where it is decided, else '', 5 boards, 6… the batch, see batch.lua
--
-- An intent is a list: boards, then the batch. It is prepared first where it is decided: while nothing is decided,
-- the decision is 'P'.
--
-- Answers 'G', 'L' as apply does; 'D' the batch has ended already; 'P' it is prepared; or as apply does why it cannot be
-- carried out, or 'R', 'D' or 'W'.

local epoch, n, last = begin()
if not epoch then
  return 'G'
end
if call('EXISTS', KEYS[3]) == 1 then
  return 'D'
end
if call('EXISTS', KEYS[2]) == 1 then
  return 'P'
end
local us, lock = now(), ARGV[2]
if us > unpack_struct('>I8', ARGV[1]) then
  return pack('>c1I8', 'L', us)
end

load(ARGV, 6, 6, nil)
local ops, ms, name, digest, pos, size = header(ARGV[7], 3)
if not decide(ops, ms, name, digest, pos, size) then
  return head(epoch, us) .. pack('>I8I8', last, n) .. describe() .. table.concat(parts)
end
if lock ~= '' then
  call('RPUSH', KEYS[2], unpack(ARGV, 5))
  call('ZADD', KEYS[4], us + ARGV[3], lock)
  if ARGV[4] ~= '' then
    call('HSET', KEYS[5], lock, 'P' .. ARGV[4])
  end
  for b = 1, boards do
    call('HSET', states[b], 'lock', lock)
  end
end
return 'P'
