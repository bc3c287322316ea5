-- Takes a message out of its queue, or gives it another text.
--
-- KEYS: 1 meta, 2 queue, 3 texts
-- ARGV: 1 name of the message, 2 its new text, or nothing to take it out
--
-- Answers 'G'; or 'K'.

if not begin() then
  return 'G'
end
if not ARGV[2] then
  call('ZREM', KEYS[2], ARGV[1])
  call('HDEL', KEYS[3], ARGV[1])
elseif call('HEXISTS', KEYS[3], ARGV[1]) == 1 then
  call('HSET', KEYS[3], ARGV[1], ARGV[2])
end
return 'K'
