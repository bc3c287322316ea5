-- Reads members of a board.
--
-- KEYS: 1 meta, 2 state, 3 ranks, 4 entries
-- ARGV: 1 revision of the settings that is known, 2 season, 3… members
--
-- Answers 'G', 'N' no board, 'S' no season; or head and the view, an array of the members' entries, and one of
-- their 0-based ranks.

local epoch = begin()
if not epoch then
  return 'G'
end
local seen = view(KEYS[2], KEYS[3], tonumber(ARGV[1]))
if not seen then
  return 'N'
end
if ARGV[2] ~= '0' and ARGV[2] ~= '1' then
  return 'S'
end
local answer = head(epoch, now()) .. seen
local ranks, found, at = KEYS[3], {}, {}
if #ARGV > 2 then
  local k = call('HGET', KEYS[2], 'k')
  local sign = string.sub(k, 1, 1) == 'd' and -1 or 1
  local shared = string.sub(k, 3, 3) == 'c'
  found = call('HMGET', KEYS[4], unpack(ARGV, 3))
  for i = 1, #found do
    local record = found[i]
    if not record then
      at[i] = -1
    elseif shared then
      at[i] = call('ZCOUNT', ranks, '-inf', string.format('(%.17g', sign * unpack_struct('>d', record)))
    else
      at[i] = call('ZRANK', ranks, string.sub(record, 9, 16) .. ARGV[i + 2])
    end
  end
end
return { answer, found, at }
