--[[
  Ends the tokens that a client got for itself, up to a time of issue. The caller has published the revocation before.

  KEYS[1]  the client's revocation   lk1:{CLIENT}:n
  ARGV[1]  Unix seconds: tokens issued at or before this time have ended
  ARGV[2]  how long such a token may live, ms

  Returns  the time that now applies. The script never sets an earlier time than before
]]
-- Replace a value that is not a time. Otherwise every call would fail and the client could never be revoked.
local before = string.match(redis.call('GET', KEYS[1]) or '', '^%d+$')
if not before or #before > 15 then before = 0 end
local notBefore = math.max(tonumber(before), tonumber(ARGV[1]))
-- Expire by the later of Redis's clock and the time of issue: an instance set that time, and its clock may be ahead.
local from = math.max(tonumber(redis.call('TIME')[1]), notBefore) * 1000
redis.call('SET', KEYS[1], string.format('%.0f', notBefore), 'PXAT', string.format('%.0f', from + tonumber(ARGV[2])))
return notBefore
