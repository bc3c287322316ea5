-- Replaces the note of a board, and puts messages into queues.
--
-- KEYS: 1 meta, 2 note, then for each message: queue, texts
-- ARGV: 1 version of the note that is to be replaced, 2 the new note, then for each message: how many the queue may
--       have with it, its name, its text
--
-- A note is >I8 its version, and its text. A queue is a ZSET of names, all with the score 0: a board's id, a zero byte,
-- and >I8 a place. The texts are a HASH by those names.
--
-- Answers 'G'; 'T' the note has another version; or 'K', and the numbers of those messages that found their queue full.

if not begin() then
  return 'G'
end
local note = call('GET', KEYS[2])
local version = note and unpack_struct('>I8', note) or 0
if version ~= tonumber(ARGV[1]) then
  return 'T'
end
-- Where memory is short, the first write is refused, and nothing is done.
call('SET', KEYS[2], pack('>I8', version + 1) .. ARGV[2])
local answer = { 'K' }
for i = 0, (#ARGV - 2) / 3 - 1 do
  local queue, texts, name = KEYS[2 * i + 3], KEYS[2 * i + 4], ARGV[3 * i + 4]
  if call('ZCARD', queue) < tonumber(ARGV[3 * i + 3]) then
    call('ZADD', queue, 0, name)
    call('HSET', texts, name, ARGV[3 * i + 5])
  else
    answer[#answer + 1] = tostring(i)
  end
end
return answer
