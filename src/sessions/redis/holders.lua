--[[
  Who holds each of these sessions.

  KEYS[1…]  sessions              lk1:{SUB}:s:SID

  Returns   for each, in the same order, the name of its user; nil where there is no such session
]]
local names = {}
for i, session in ipairs(KEYS) do names[i] = redis.call('HGET', session, 'un') end
return names
