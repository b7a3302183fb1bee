--[[
  Tells the followers of the feed.

  KEYS[1]  the feed               lk1:feed
  ARGV[1]  how long entries are kept, ms
  ARGV[2…] fields and values of the entry

  Returns  the entry's id

  Trimmed by Redis's clock, not the caller's: a replica whose clock is ahead would cut off what followers still need.
]]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
return redis.call('XADD', KEYS[1], 'MINID', '~', string.format('%.0f', now - tonumber(ARGV[1])), '*', unpack(ARGV, 2))
