package redisstore_test

import "github.com/redis/rueidis"

// wholeBoard does for each score what Centrifugo's leaderboard tutorial has
// Redis do: add to the member, number the change, read the whole board, encode
// it as one publication, and append that to a stream which keeps about the last
// ten thousand.
//
//	KEYS: board (ZSET), state (HASH), stream
//	ARGV: member, points, channel
var wholeBoard = rueidis.NewLuaScript(`
redis.call('ZINCRBY', KEYS[1], ARGV[2], ARGV[1])
if redis.call('HSETNX', KEYS[2], 'epoch', redis.call('TIME')[1]) == 1 then
  redis.call('HSET', KEYS[2], 'version', 0)
end
local version = redis.call('HINCRBY', KEYS[2], 'version', 1)
redis.call('EXPIRE', KEYS[2], 86400)
local flat = redis.call('ZREVRANGE', KEYS[1], 0, -1, 'WITHSCORES')
local rows = {}
for i = 1, #flat, 2 do
  rows[#rows + 1] = {name = flat[i], score = tonumber(flat[i + 1])}
end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'method', 'publish', 'payload', cjson.encode({
  channel = ARGV[3],
  data = {leaders = rows},
  version = version,
  version_epoch = redis.call('HGET', KEYS[2], 'epoch'),
}))
return version
`)
