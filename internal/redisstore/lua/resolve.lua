-- Tells what was decided about a batch over several partitions.
--
-- KEYS: 1 meta, 2 intents, 3 decisions
-- ARGV: 1 lock, 2 'look', or 'decide' to decide against it if that has taken too long, 3 microseconds after which a
--       batch may be given up
--
-- Answers 'G'; 'U' nothing is known of it: it has ended everywhere, or it never will be carried out; or what is
-- decided and the batch's partitions: 'P' nothing yet, 'C' it is carried out, 'A' it is not.

if not begin() then
  return 'G'
end
local record = call('HGET', KEYS[3], ARGV[1])
if not record then
  return 'U'
end
if ARGV[2] == 'decide' and string.sub(record, 1, 1) == 'P' then
  local us, give_up = now(), tonumber(call('ZSCORE', KEYS[2], ARGV[1]) or 0)
  -- Where the clock has gone back, or another server's is behind, nobody waits for it.
  if us > give_up or us < give_up - 2 * ARGV[3] then
    record = 'A' .. string.sub(record, 2)
    -- The first write is one that memory is never too short for.
    call('HDEL', KEYS[3], ARGV[1])
    call('HSET', KEYS[3], ARGV[1], record)
  end
end
return record
