-- Reads members of a board.
--
-- KEYS: 1 meta, 2 state, 3 ranks, 4 entries, 5 levels
-- ARGV: 1 revision of the settings that is known, 2 season, 3… members
--
-- Answers 'G', 'N' no board, 'S' no season; or head and the view, an array of the members' entries, one of
-- their 0-based ranks, and, by dense ranks, one of how many stand before each with another score.

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
local ranks, found, at, better = KEYS[3], {}, {}, nil
if #ARGV > 2 then
  local k = call('HGET', KEYS[2], 'k')
  local sign = string.sub(k, 1, 1) == 'd' and -1 or 1
  local style = string.sub(k, 3, 3)
  if style == 'd' then
    better = {}
  end
  found = call('HMGET', KEYS[4], unpack(ARGV, 3))
  for i = 1, #found do
    local record = found[i]
    if not record then
      at[i] = -1
      if better then
        better[i] = -1
      end
    elseif style == 'o' then
      at[i] = call('ZRANK', ranks, string.sub(record, 9, 16) .. ARGV[i + 2])
    else
      local above = string.format('(%.17g', sign * unpack_struct('>d', record))
      at[i] = call('ZCOUNT', ranks, '-inf', above)
      if better then
        better[i] = at[i]
        at[i] = call('ZCOUNT', KEYS[5], '-inf', above)
      end
    end
  end
end
return { answer, found, at, better }
