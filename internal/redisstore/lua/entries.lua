-- Reads a page of a season of a board.
--
-- KEYS: see season.lua
-- ARGV: 1 and 2 see season.lua, 3 limit, then where the page begins:
--       4 'offset', 5 the offset;
--       4 'after', 5 score, 6 seq: behind this position;
--       4 'around', 5 member: the page has it in its middle;
--       4 'score', 5 score: the page has the place of who reached it now in its middle
--
-- Answers what season.lua says; or head and the view, the 0-based index and the 0-based rank of the first
-- of the page, the members with their ties, their entries, and, by dense ranks, how many stand before the first with
-- another score; or head and the view, and 'M', no member.

local answer, k = open()
if not answer then
  return k
end
local ranks, limit = KEYS[3], tonumber(ARGV[3])
local sign = string.sub(k, 1, 1) == 'd' and -1 or 1
if string.sub(k, 4) == 'z' then
  return { answer, 0, 0, {}, {} }
end

local start
if ARGV[4] == 'offset' then
  start = tonumber(ARGV[5])
elseif ARGV[4] == 'after' then
  local score = string.format('%.17g', sign * ARGV[5])
  local seq = tonumber(ARGV[6])
  if string.sub(k, 2, 2) == 'l' then
    seq = 9007199254740991 - seq
  end
  start = call('ZCOUNT', ranks, '-inf', '(' .. score)
  -- Among the equals, the first whose tie is above seq.
  local low, high = start, start + call('ZCOUNT', ranks, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local tie = unpack_struct('>I8', call('ZRANGE', ranks, middle, middle)[1])
    if tie <= seq then
      low = middle + 1
    else
      high = middle
    end
  end
  start = low
elseif ARGV[4] == 'score' then
  local through = string.format('%.17g', sign * ARGV[5])
  if string.sub(k, 2, 2) == 'l' then
    through = '(' .. through
  end
  start = call('ZCOUNT', ranks, '-inf', through) - math.floor(limit / 2)
  start = math.max(0, math.min(start, call('ZCARD', ranks) - limit))
else
  local record = call('HGET', KEYS[4], ARGV[5])
  if not record then
    return { answer, 'M', '' }
  end
  start = call('ZRANK', ranks, string.sub(record, 9, 16) .. ARGV[5]) - math.floor(limit / 2)
  start = math.max(0, math.min(start, call('ZCARD', ranks) - limit))
end

local members = call('ZRANGE', ranks, start, start + limit - 1)
if #members == 0 then
  return { answer, start, start, {}, {} }
end
local names = {}
for i = 1, #members do
  names[i] = string.sub(members[i], 9)
end
local entries = call('HMGET', KEYS[4], unpack(names))
local style = string.sub(k, 3, 3)
if style == 'o' then
  return { answer, start, start, members, entries }
end
local above = string.format('(%.17g', sign * unpack_struct('>d', entries[1]))
local better = call('ZCOUNT', ranks, '-inf', above)
if style == 'd' then
  return { answer, start, call('ZCOUNT', KEYS[5], '-inf', above), members, entries, better }
end
return { answer, start, better, members, entries }
