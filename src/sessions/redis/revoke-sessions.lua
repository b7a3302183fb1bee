--[[
  Ends sessions of one user. The caller has published the revocation before.

  KEYS[1]   the user's index      lk1:{SUB}:i
  KEYS[2…]  the sessions          lk1:{SUB}:s:SID
  ARGV[1…]  their ids, in the same order

  Returns   the ids of the sessions that still lived

  If no session lived, the script writes an entry and removes it. WAIT counts the replicas that hold the last write of its
  connection. These replicas then hold every earlier deletion too, of any connection.
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
