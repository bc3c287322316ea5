-- Reads what boards are.
--
-- KEYS: 1 meta, then for each board: state, ranks
-- ARGV: for each board the revision of the settings that is known
--
-- Answers 'G'; or head, and a view for each board, or '0' for one that is not there.

local epoch = begin()
if not epoch then
  return 'G'
end
local parts = { head(epoch, now()) }
for i = 1, #ARGV do
  parts[i + 1] = view(KEYS[2 * i], KEYS[2 * i + 1], tonumber(ARGV[i])) or '0'
end
return table.concat(parts)
