-- Reads a ZSET that another program writes. It stands alone: the key is anywhere.
--
-- KEYS: 1 the ZSET
-- ARGV: 1 'd' or 'a', the order, 2 10 to the power of the board's decimals, 3 the largest scaled score, then what to read:
--       4 'lookup', 5… members;
--       4 the limit of a page, then where it begins: 5 'offset', 6 the offset; 5 'after', 6 score, 7 place among its
--       equals; 5 'around', 6 member; 5 'score', 6 score: around the place behind those that are shown with it
--
-- Scores are as they are shown: scaled, rounded half to even, no further than the limit. What is shown as equal is
-- equal. A key of another type is as empty as one that is not there.
--
-- Answers 'M' no member; or for a page: number of members, index of the first of the page, how many stand before it
-- with another score, members with their scores; for a lookup: number of members, then for each '' or its score, how
-- many stand before it, and how many of those with another score.

local call = redis.call
local key = KEYS[1]
local descending, scale, limit = ARGV[1] == 'd', tonumber(ARGV[2]), tonumber(ARGV[3])

if call('TYPE', key).ok ~= 'zset' then
  if ARGV[5] == 'around' then
    return 'M'
  end
  if ARGV[4] ~= 'lookup' then
    return { 0, 0, 0, {} }
  end
  local none = { 0 }
  for i = 5, #ARGV do
    none[i - 3] = ''
  end
  return none
end

local total = call('ZCARD', key)

-- shown returns a score as it is shown. It never falls when the score rises.
local function shown(score)
  local x = score * scale
  if x >= limit then
    return limit
  elseif x <= -limit then
    return -limit
  end
  local whole = math.floor(x)
  local rest = x - whole
  if rest > 0.5 or rest == 0.5 and whole % 2 == 1 then
    whole = whole + 1
  end
  return whole
end

-- below and above return the next number that a score can be.
local function below(x)
  local size = x < 0 and -x or x
  local _, exponent = math.frexp(size)
  local half = math.ldexp(1, exponent - 54)
  if x < 0 then
    return -(size + 2 * half)
  end
  local less = x - half -- it is the next one where the distance halves
  return less < x and less or x - 2 * half
end

local function above(x) return -below(-x) end

-- lowest returns the lowest score that is shown as s or more.
local function lowest(s)
  local x = (s - 0.5) / scale
  while shown(x) < s do
    x = above(x)
  end
  while true do
    local less = below(x)
    if shown(less) < s then
      return x
    end
    x = less
  end
end

-- from returns how many scores are shown as s or more.
local function from(s)
  if s <= -limit then
    return total
  elseif s > limit then
    return 0
  end
  return call('ZCOUNT', key, string.format('%.17g', lowest(s)), '+inf')
end

-- before returns how many members stand before those that are shown with s, and through how many with them.
local function before(s) return descending and from(s + 1) or total - from(s) end
local function through(s) return descending and from(s) or total - from(s + 1) end

local rank, range = 'ZRANK', 'ZRANGE'
if descending then
  rank, range = 'ZREVRANK', 'ZREVRANGE'
end

if ARGV[4] == 'lookup' then
  local answer = { total }
  for i = 5, #ARGV do
    local index = call(rank, key, ARGV[i])
    if index then
      local s = shown(tonumber(call('ZSCORE', key, ARGV[i])))
      answer[i - 3] = { string.format('%.0f', s), index, before(s) }
    else
      answer[i - 3] = ''
    end
  end
  return answer
end

local most, start = tonumber(ARGV[4]), nil
if ARGV[5] == 'offset' then
  start = tonumber(ARGV[6])
elseif ARGV[5] == 'after' then
  local s = math.max(-limit, math.min(limit, tonumber(ARGV[6])))
  start = math.min(before(s) + tonumber(ARGV[7]), through(s))
elseif ARGV[5] == 'score' then
  local s = math.max(-limit, math.min(limit, tonumber(ARGV[6])))
  start = math.max(0, math.min(through(s) - math.floor(most / 2), total - most))
else
  local index = call(rank, key, ARGV[6])
  if not index then
    return 'M'
  end
  start = math.max(0, math.min(index - math.floor(most / 2), total - most))
end
start = math.min(start, total)

local rows = call(range, key, start, start + most - 1, 'WITHSCORES')
for i = 2, #rows, 2 do
  rows[i] = string.format('%.0f', shown(tonumber(rows[i])))
end
return { total, start, #rows > 0 and before(tonumber(rows[2])) or start, rows }
