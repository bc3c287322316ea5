-- Reads which seasons of a board there are.
--
-- KEYS: as season.lua has them, of the current season, then the ranks of the past ones
-- ARGV: 1 and 2 see season.lua, 3… numbers of the past ones
--
-- Answers what season.lua says; or head and the view, and for each past season >B whether it is there, and if so I8 rev,
-- I4 entries, I8 revision of its settings, I2c0 those settings.

local answer, why = open()
if not answer then
  return why
end
local parts = { answer }
local records = #ARGV > 2 and call('HMGET', KEYS[6], unpack(ARGV, 3)) or {}
for i = 1, #ARGV - 2 do
  if records[i] then
    local rev, sr, _, settings = unpack_past(records[i])
    parts[i + 1] = pack('>BI8I4I8I2c0', 1, rev, call('ZCARD', KEYS[6 + i]), sr, #settings, settings)
  else
    parts[i + 1] = '\0'
  end
end
return table.concat(parts)
