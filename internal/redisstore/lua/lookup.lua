-- Reads members of a season of a board.
--
-- KEYS: see season.lua
-- ARGV: 1 and 2 see season.lua, 3… members
--
-- Answers what season.lua says; or head and the view, an array of the members' entries, one of
-- their 0-based ranks, and, by dense ranks, one of how many stand before each with another score.

local answer, k = open()
if not answer then
  return k
end
local ranks, found, at, better = KEYS[3], {}, {}, nil
if #ARGV > 2 then
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
