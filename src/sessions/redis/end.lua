--[[
  Ends sessions of one user. Their entry in the feed has been written before.

  KEYS[1]   the user's index      lk1:{SUB}:i
  KEYS[2…]  the sessions          lk1:{SUB}:s:SID
  ARGV[1…]  their ids, in the same order

  Returns   the ids of those that lived until now
]]
local ended = {}
for i, sid in ipairs(ARGV) do
  if redis.call('DEL', KEYS[i + 1]) == 1 then ended[#ended + 1] = sid end
  redis.call('ZREM', KEYS[1], sid)
end
return ended
