--[[
  Ends sessions of one user. Their entry in the feed has been written before.

  KEYS[1]   the user's index      lk1:{SUB}:i
  KEYS[2…]  the sessions          lk1:{SUB}:s:SID
  ARGV[1…]  their ids, in the same order

  Returns   the ids of those that lived until now

  Where none did, it writes all the same, and nothing is left of it: WAIT counts the replicas that hold the last write of
  the connection that asks, and an end that was made before, by anyone, comes before it.
]]
local ended = {}
for i, sid in ipairs(ARGV) do
  if redis.call('DEL', KEYS[i + 1]) == 1 then ended[#ended + 1] = sid end
  redis.call('ZREM', KEYS[1], sid)
end
if #ended == 0 then
  redis.call('ZADD', KEYS[1], 0, '')
  redis.call('ZREM', KEYS[1], '')
end
return ended
