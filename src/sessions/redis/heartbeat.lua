--[[
  A writer's heartbeat: whoever follows the feed knows by it that it hears all there is to hear.

  KEYS[1]  the feed               lk1:feed
  KEYS[2]  its retention          lk1:retention:{lk1:feed}
  ARGV[1]  interval, ms: an entry younger than this, of any writer, serves as the heartbeat
  ARGV[2]  how long the caller needs entries to be kept, ms
  ARGV[3]  a random word

  Returns  1 where an entry was written, else 0

  Entries are kept for the longest that any instance needs, and the heartbeat says for how long. The retention has what each
  needs, until when: for as long again after its last heartbeat. Where ACCESS_TTL is made shorter, the tokens of before live on.

  The feed trims itself here too, so that it shrinks when nobody signs out.

  The word makes the entry unlike any other: a follower finds its place again by the last entry that it has read, and the
  same id may come up in another feed, of a Redis that was emptied or has failed over.
]]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local kept = tonumber(ARGV[2])
-- Not with each heartbeat: each write goes to the replicas. Entries are kept for a minute more than tokens live.
if tonumber(redis.call('ZSCORE', KEYS[2], ARGV[2]) or 0) < now + kept - 10000 then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. string.format('%.0f', now))
  redis.call('ZADD', KEYS[2], now + kept, ARGV[2])
  redis.call('PEXPIREAT', KEYS[2], redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2])
end
for _, other in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[2], '+inf', now)) do kept = math.max(kept, tonumber(other)) end

local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if last[1] and now - tonumber(string.match(last[1][1], '^%d+')) < tonumber(ARGV[1]) then return 0 end
local oldest = string.format('%.0f', now - kept)
redis.call('XADD', KEYS[1], 'MINID', '~', oldest, '*', 'hb', string.format('%.0f', kept), 'n', ARGV[3])
return 1
