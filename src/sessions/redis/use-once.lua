--[[
  Records the use of something that may be used once.

  KEYS[1]  the use                lk1:{ID}:o
  ARGV[1]  Unix milliseconds: from this time on it may not be used at all
  ARGV[2]  how long to keep the record after that time, ms: the clock of a new primary may be behind

  Returns  1 if this is the first use, 0 if it was used before, or if its time is over on the clock of Redis
]]
local time = redis.call('TIME')
local deadline = tonumber(ARGV[1])
if deadline <= time[1] * 1000 + math.floor(time[2] / 1000) then return 0 end
local kept = string.format('%.0f', deadline + tonumber(ARGV[2]))
return redis.call('SET', KEYS[1], '', 'NX', 'PXAT', kept) and 1 or 0
