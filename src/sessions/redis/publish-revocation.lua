--[[
  Adds a revocation to the feed.

  KEYS[1]  the feed               lk1:feed
  KEYS[2]  its retention          lk1:retention:{lk1:feed}
  ARGV[1]  how long the caller needs the feed to keep entries, ms; another instance may need longer
  ARGV[2…] fields and values of the entry

  Returns  the id of the entry

  The script trims the feed by Redis's clock. If an instance's clock were used and ran ahead, followers would lose entries.
]]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local kept = tonumber(ARGV[1])
for _, other in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[2], '+inf', now)) do
  -- Skip a member that is not a time. Otherwise every call would fail, and nobody could sign out.
  if string.match(other, '^%d+$') and #other < 13 then kept = math.max(kept, tonumber(other)) end
end
return redis.call('XADD', KEYS[1], 'MINID', '~', string.format('%.0f', now - kept), '*', unpack(ARGV, 2))
