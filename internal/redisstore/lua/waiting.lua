-- Reads the oldest message about each of some boards from a queue.
--
-- KEYS: 1 meta, 2 queue, 3 texts
-- ARGV: 1 the id that boards are to be above, 2 how many boards
--
-- Answers 'G'; or 'K', the number of messages in the queue, and the name and text of each that was found.

if not begin() then
  return 'G'
end
local answer = { 'K', tostring(call('ZCARD', KEYS[2])) }
-- No byte of a board's id is below the one behind the zero byte.
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1] .. '\1'
for _ = 1, tonumber(ARGV[2]) do
  local name = call('ZRANGEBYLEX', KEYS[2], from, '+', 'LIMIT', 0, 1)[1]
  if not name then
    break
  end
  answer[#answer + 1] = name
  answer[#answer + 1] = call('HGET', KEYS[3], name) or ''
  from = '(' .. string.sub(name, 1, -10) .. '\1'
end
return answer
