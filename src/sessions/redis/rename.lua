--[[
  Gives living sessions another username.

  KEYS[1…]  the sessions          lk1:{SUB}:s:SID
  ARGV[1…]  fields and values of the username: fields.ts documents them

  Returns   how many of the sessions live

  A session that ended is not written: the script would create a key that never expires, and the session would live again.
]]
local living = 0
for _, session in ipairs(KEYS) do
  if redis.call('EXISTS', session) == 1 then
    living = living + 1
    -- A shorter name has fewer pieces: the rest of the old name must not follow it.
    local piece = 1
    while redis.call('HDEL', session, 'un' .. piece) == 1 do piece = piece + 1 end
    redis.call('HSET', session, unpack(ARGV))
  end
end
return living
