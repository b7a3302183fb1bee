--[[
  Records that the person authenticated again, and rotates the refresh token whatever its generation is.

  KEYS[1]  the session            lk1:{SUB}:s:SID
  KEYS[2]  the user's index       lk1:{SUB}:i
  ARGV[1]  session id
  ARGV[2]  REFRESH_TTL, ms
  ARGV[3]  methods of the authentication, separated by spaces

  Returns  1; 0 if the session has ended
]]
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local expires = now + tonumber(ARGV[2])
local ends = tonumber(redis.call('HGET', KEYS[1], 'e') or expires)
if ends < expires then expires = ends end

redis.call('HINCRBY', KEYS[1], 'g', 1)
redis.call('HSET', KEYS[1], 'r', now, 't', now, 'm', ARGV[3])
redis.call('PEXPIREAT', KEYS[1], expires)
redis.call('ZADD', KEYS[2], expires, ARGV[1])
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[2], last[2])
return 1
