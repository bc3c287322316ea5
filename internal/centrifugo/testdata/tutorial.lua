-- Does what the tutorial's script does, from its description: it adds to a
-- member's score in a sorted set, counts versions in a hash that has an epoch
-- too, and appends the whole table as a publish command to a stream that is
-- trimmed to about ten thousand.
--
-- KEYS[1]  the sorted set
-- KEYS[2]  the hash
-- KEYS[3]  the stream
-- ARGV[1]  the member
-- ARGV[2]  what is added
-- ARGV[3]  the channel

local board, state, stream = KEYS[1], KEYS[2], KEYS[3]
redis.call('ZINCRBY', board, ARGV[2], ARGV[1])
if redis.call('HEXISTS', state, 'epoch') == 0 then
  redis.call('HSET', state, 'epoch', redis.call('TIME')[1], 'version', '0')
end
local version = redis.call('HINCRBY', state, 'version', 1)
local epoch = redis.call('HGET', state, 'epoch')
redis.call('EXPIRE', state, 24 * 60 * 60)
local rows, flat = {}, redis.call('ZRANGE', board, 0, -1, 'REV', 'WITHSCORES')
for i = 1, #flat, 2 do
  rows[#rows + 1] = {name = flat[i], score = tonumber(flat[i + 1])}
end
local command = {channel = ARGV[3], data = {leaders = rows}, version = version, version_epoch = epoch}
redis.call('XADD', stream, 'MAXLEN', '~', 10000, '*', 'method', 'publish', 'payload', cjson.encode(command))
return version
