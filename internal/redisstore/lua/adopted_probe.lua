-- Says what a ZSET is like, in as many words whatever its size, so that it can be seen whether it has changed.
--
-- KEYS: 1 the ZSET
-- ARGV: 1 'd' or 'a', the order, 2 how many members of the top are looked at, 3 how many of the others
--
-- Answers its type, or none, and a digest.

local call = redis.call
local key, top = KEYS[1], tonumber(ARGV[2])
local kind = call('TYPE', key).ok
if kind ~= 'zset' then
  return { kind, '' }
end
local range = ARGV[1] == 'd' and 'ZREVRANGE' or 'ZRANGE'
local total = call('ZCARD', key)
local seen = call(range, key, 0, top - 1, 'WITHSCORES')
seen[#seen + 1] = tostring(total)
if total > top then
  for i = 1, ARGV[3] do
    local at = math.floor((total - 1) * i / ARGV[3])
    local row = call(range, key, at, at, 'WITHSCORES')
    seen[#seen + 1] = row[1]
    seen[#seen + 1] = row[2]
  end
end
return { kind, redis.sha1hex(table.concat(seen, '\n')) }
