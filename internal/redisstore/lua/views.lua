-- Reads what boards are.
--
-- KEYS: 1 meta, then for each board: state, ranks
-- ARGV: for each board the revision of the settings that is known, and the season that is then the current one
--
-- Answers 'G'; or head, and for each board a view with the mark '1', '0' for one that is not there, or 'T' and the
-- settings for one whose season is another.

local epoch = begin()
if not epoch then
  return 'G'
end
local parts = { head(epoch, now()) }
for i = 1, #ARGV / 2 do
  local f = call('HMGET', KEYS[2 * i], 'rev', 'sr', 'lock', 'settings', 'season')
  if not f[2] then
    parts[i + 1] = '0'
  elseif (f[5] or '1') ~= ARGV[2 * i] then
    parts[i + 1] = others(tonumber(f[2]), f[4])
  else
    parts[i + 1] = view('1', f[1], KEYS[2 * i + 1], tonumber(f[2]), f[3], f[4], tonumber(ARGV[2 * i - 1]))
  end
end
return table.concat(parts)
