--[[
  Exactly-once rotation: compare, and step, replay, or report.

  KEYS[1]  the session            lk1:{SUB}:s:SID
  KEYS[2]  the user's index       lk1:{SUB}:i
  ARGV[1]  session id
  ARGV[2]  the generation presented
  ARGV[3]  REFRESH_GRACE, ms
  ARGV[4]  REFRESH_TTL, ms
  ARGV[5]  the client that asks, and
  ARGV[6]  the one whose sessions anyone may refresh

  Returns  { 'unknown' }                          there is no such session, or it is another client's
           { 'reused' }                           the generation was left behind; nothing is changed
           { 'replayed', now, expires, fields… }  moved on within the grace; nothing is changed
           { 'rotated', now, expires, fields… }   moved on now

  A generation newer than the session's is one that Redis lost in a failover (only the service can make its MAC): the
  session is moved on to it. Grace runs on Redis's clock, which all replicas of the service share.
]]
local generation = redis.call('HGET', KEYS[1], 'gen')
if not generation then return { 'unknown' } end
local client = redis.call('HGET', KEYS[1], 'cid')
if client ~= ARGV[5] and client ~= ARGV[6] then return { 'unknown' } end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local presented = tonumber(ARGV[2])
generation = tonumber(generation)

local outcome = 'rotated'
if presented < generation then
  local rotated = tonumber(redis.call('HGET', KEYS[1], 'rot'))
  if presented ~= generation - 1 or now - rotated > tonumber(ARGV[3]) then return { 'reused' } end
  outcome = 'replayed'
else
  local expires = now + tonumber(ARGV[4])
  local ends = tonumber(redis.call('HGET', KEYS[1], 'end'))
  if ends > 0 and ends < expires then expires = ends end
  redis.call('HSET', KEYS[1], 'gen', string.format('%.0f', presented + 1), 'rot', now)
  redis.call('PEXPIREAT', KEYS[1], expires)
  redis.call('ZADD', KEYS[2], expires, ARGV[1])
  local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
  redis.call('PEXPIREAT', KEYS[2], last[2])
end
local answer = redis.call('HGETALL', KEYS[1])
table.insert(answer, 1, redis.call('PEXPIRETIME', KEYS[1]))
table.insert(answer, 1, now)
table.insert(answer, 1, outcome)
return answer
