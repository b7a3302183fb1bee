--[[
  Writes a heartbeat. A follower that reads it knows that it has received every earlier revocation.

  KEYS[1]  the feed               lk1:feed
  KEYS[2]  its retention          lk1:retention:{lk1:feed}
  ARGV[1]  interval, ms: a younger entry of any writer counts as the heartbeat
  ARGV[2]  how long the caller needs the feed to keep entries, ms
  ARGV[3]  a random word

  Returns  1 if the script wrote an entry, otherwise 0

  The feed keeps entries for the longest time that any instance needs, and the heartbeat contains that time. The retention
  set holds the need of each instance. A need of N ms counts until N ms after the instance's last heartbeat: if ACCESS_TTL
  was shortened, tokens with the longer lifetime still live.

  The heartbeat trims the feed too, so that the feed shrinks when nobody signs out.

  The random word makes each heartbeat unique. A follower finds its position by the last entry that it read, and after Redis
  lost its data or failed over, the feed may contain the same entry id again.
]]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local kept = tonumber(ARGV[2])
-- Write the need only when it is 10 s old, because each write goes to the replicas. The need has 60 s to spare.
if tonumber(redis.call('ZSCORE', KEYS[2], ARGV[2]) or 0) < now + kept - 10000 then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. string.format('%.0f', now))
  redis.call('ZADD', KEYS[2], now + kept, ARGV[2])
  redis.call('PEXPIREAT', KEYS[2], redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2])
end
for _, other in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[2], '+inf', now)) do
  -- Skip a member that is not a time. Otherwise every call would fail, and nobody could sign out.
  if string.match(other, '^%d+$') and #other < 13 then kept = math.max(kept, tonumber(other)) end
end

local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if last[1] and now - tonumber(string.match(last[1][1], '^%d+')) < tonumber(ARGV[1]) then return 0 end
local oldest = string.format('%.0f', now - kept)
redis.call('XADD', KEYS[1], 'MINID', '~', oldest, '*', 'hb', string.format('%.0f', kept), 'n', ARGV[3])
return 1
