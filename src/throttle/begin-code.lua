--[[
  Counts an attempt at a second factor, or says how long to wait. The attempt counts before its code is compared.

  KEYS[1]   the attempts of an account, a hash    lk1:t:m:HASH
            `n` attempts, `g` the id of this count, `w` the end of the wait in Unix ms
  ARGV[1]   attempts until the first wait
  ARGV[2]   the first wait, ms; each further attempt makes a wait that is twice as long
  ARGV[3]   the longest wait, ms
  ARGV[4]   the count is forgotten after this time, ms
  ARGV[5]   the id of the count, if this attempt begins the count

  Returns   { 'wait', ms }           nothing is counted
            { 'started', id, '' }    the attempt is counted in the count with this id
            { 'started', id, end }   this attempt also began the wait that ends then
]]
local free, firstWait, longestWait, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local waitEnd = tonumber(redis.call('HGET', KEYS[1], 'w') or 0)
if waitEnd > now then return { 'wait', waitEnd - now } end

redis.call('HSETNX', KEYS[1], 'g', ARGV[5])
local id = redis.call('HGET', KEYS[1], 'g')
local attempts = redis.call('HINCRBY', KEYS[1], 'n', 1)
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], kept)
  left = kept
end
if attempts < free then return { 'started', id, '' } end

local wait = math.min(firstWait * 2 ^ (attempts - free), longestWait)
local newEnd = string.format('%.0f', now + wait)
redis.call('HSET', KEYS[1], 'w', newEnd)
if left < wait then redis.call('PEXPIRE', KEYS[1], wait) end
return { 'started', id, newEnd }
