--[[
  Ends the tokens that a client got for itself, up to a time of issue. Their entry in the feed has been written before.

  KEYS[1]  the client's revocation   lk1:{CLIENT}:n
  ARGV[1]  Unix seconds: tokens issued at or before it have ended
  ARGV[2]  how long such a token may live, ms

  Returns  the time that holds now: never an earlier one than before
]]
-- What is no time would fail here each time, and the client could never be revoked again.
local before = string.match(redis.call('GET', KEYS[1]) or '', '^%d+$')
if not before or #before > 15 then before = 0 end
local until_ = math.max(tonumber(before), tonumber(ARGV[1]))
-- By the later of Redis's clock and the time of issue, which is from the clock of an instance and may be ahead.
local from = math.max(tonumber(redis.call('TIME')[1]), until_) * 1000
redis.call('SET', KEYS[1], string.format('%.0f', until_), 'PXAT', string.format('%.0f', from + tonumber(ARGV[2])))
return until_
