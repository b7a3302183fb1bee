--[[
  Reads entries of the feed.

  KEYS[1]  the feed               lk1:feed
  KEYS[2]  its retention          lk1:retention:{lk1:feed}
  ARGV[1]  id of the first entry to read; '-' means the oldest entry, '+' the newest
  ARGV[2]  the most entries to read

  Returns  { now, retention, id of the oldest entry, id of the newest entry, { { id, { field, value… } }… } }, times in ms on
           Redis's clock; the ids are empty if the feed is empty

  An entry may name 500 sessions. After 4,000 values the script returns fewer entries than it may.
]]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local retention = 0
for _, need in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[2], '+inf', now)) do
  if string.match(need, '^%d+$') and #need < 13 then retention = math.max(retention, tonumber(need)) end
end
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if not newest[1] then return { now, retention, '', '', {} } end
if ARGV[1] == '+' then return { now, retention, oldest[1][1], newest[1][1], newest } end

local entries, values = {}, 0
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])) do
  values = values + #entry[2] / 2
  if values > 4000 and #entries > 1 then break end
  entries[#entries + 1] = entry
end
return { now, retention, oldest[1][1], newest[1][1], entries }
