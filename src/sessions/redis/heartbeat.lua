--[[
  A writer's heartbeat: whoever follows the feed knows by it that it hears all there is to hear.

  KEYS[1]  the feed               lk1:feed
  ARGV[1]  interval, ms: an entry younger than this, of any writer, serves as the heartbeat
  ARGV[2]  how long entries are kept, ms: the heartbeat says so
  ARGV[3]  a random word

  Returns  1 where an entry was written, else 0

  The feed trims itself here too, so that it shrinks when nobody signs out.

  The word makes the entry unlike any other: a follower finds its place again by the last entry that it has read, and the
  same id may come up in another feed, of a Redis that was emptied or has failed over.
]]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if last[1] and now - tonumber(string.match(last[1][1], '^%d+')) < tonumber(ARGV[1]) then return 0 end
local oldest = string.format('%.0f', now - tonumber(ARGV[2]))
redis.call('XADD', KEYS[1], 'MINID', '~', oldest, '*', 'hb', ARGV[2], 'n', ARGV[3])
return 1
