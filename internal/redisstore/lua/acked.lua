-- Tells up to where the log has been acknowledged, or moves that on, and never back.
--
-- KEYS: 1 meta, 2 log
-- ARGV: 1 time and 2 number of the entry up to which it is acknowledged, or nothing to ask
--
-- The place is the last id that the consumer group laurel has been delivered. Answers 'G'; or 'K', time and number
-- of the entry up to which the log is acknowledged, time and number of the last entry, the epoch, and '1' if the cap of the
-- log has cut off entries behind that: then all boards will be told again, and those entries count as acknowledged.

local epoch, n, last = begin()
if not epoch then
  return 'G'
end
local us, number
local cut = '0'
local groups = call('EXISTS', KEYS[2]) == 1 and call('XINFO', 'GROUPS', KEYS[2]) or {}
for i = 1, #groups do
  local group = {}
  for j = 1, #groups[i], 2 do
    group[groups[i][j]] = groups[i][j + 1]
  end
  if group.name == 'laurel' then
    us, number = string.match(group['last-delivered-id'], '(%d+)-(%d+)')
  end
end
if not us then
  call('XGROUP', 'CREATE', KEYS[2], 'laurel', '0', 'MKSTREAM')
  us, number = '0', '0'
end

if #ARGV == 0 then
  local first = call('XRANGE', KEYS[2], string.format('(%s-%s', us, number), '+', 'COUNT', 1)[1]
  local follows = first and tonumber(string.match(first[1], '-(%d+)')) or n + 1
  if follows ~= number + 1 then
    -- What is left follows on the last that was cut off: whoever reads on from there misses nothing more.
    us, number = first and string.match(first[1], '(%d+)-') or string.format('%.0f', last), string.format('%.0f', follows - 1)
    call('XGROUP', 'SETID', KEYS[2], 'laurel', us .. '-' .. number, 'ENTRIESREAD', number)
    call('HSET', KEYS[1], 'retell', '')
    cut = '1'
  end
else
  local to_us, to_number = tonumber(ARGV[1]), tonumber(ARGV[2])
  local forward = to_us > tonumber(us) or to_us == tonumber(us) and to_number > tonumber(number)
  -- What lies behind the last entry is a place in a log that was lost.
  if forward and to_us <= last and to_number <= n then
    us, number = string.format('%.0f', to_us), string.format('%.0f', to_number)
    call('XGROUP', 'SETID', KEYS[2], 'laurel', us .. '-' .. number, 'ENTRIESREAD', number)
    call('XTRIM', KEYS[2], 'MINID', string.format('%.0f-%.0f', to_us, to_number + 1))
  end
end
return { 'K', us, number, string.format('%.0f', last), string.format('%.0f', n), epoch, cut }
