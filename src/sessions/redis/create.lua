--[[
  Creates a session, and names the user's sessions above the limit.

  KEYS[1]  the session            lk1:{SUB}:s:SID
  KEYS[2]  the user's index       lk1:{SUB}:i
  ARGV[1]  prefix of the user's session keys: the script reads when each session was last used
  ARGV[2]  session id
  ARGV[3]  REFRESH_TTL, ms
  ARGV[4]  SESSION_MAX_AGE, ms; 0 means no limit
  ARGV[5]  SESSIONS_PER_USER
  ARGV[6…] fields and values of the session: fields.ts documents them

  Returns  { now, expires, excess session ids… }, times in Unix ms on Redis's clock

  The script does not delete the excess sessions: a revocation must be in the feed first, and the feed may be in another
  slot.
]]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local sid, ttl, maxAge, limit = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local ends = maxAge > 0 and now + maxAge or 0
local expires = now + ttl
if ends > 0 and ends < expires then expires = ends end

redis.call('HSET', KEYS[1], 'g', 0, 'r', now, 'n', now, unpack(ARGV, 6))
if ends > 0 then redis.call('HSET', KEYS[1], 'e', ends) end
redis.call('PEXPIREAT', KEYS[1], expires)

-- A key lives until the end of its last millisecond. The index must contain every key that lives.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. string.format('%.0f', now))
redis.call('ZADD', KEYS[2], expires, sid)
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[2], last[2])

local reply = { now, expires }
local over = redis.call('ZCARD', KEYS[2]) - limit
if over > 0 then
  -- Sort by last use and not by expiry: a session near SESSION_MAX_AGE may be in daily use.
  local used = {}
  for _, other in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    if other ~= sid then
      local at = redis.pcall('HGET', ARGV[1] .. other, 'r')
      -- While a cluster moves the slot, the session may be on another node. Then skip the session.
      if type(at) ~= 'table' then used[#used + 1] = { other, at and tonumber(at) or 0 } end
    end
  end
  -- Break ties the same way each time. Otherwise sign-ins in one millisecond would each name another session.
  table.sort(used, function(a, b)
    if a[2] == b[2] then return a[1] < b[1] end
    return a[2] < b[2]
  end)
  for i = 1, math.min(over, #used) do reply[#reply + 1] = used[i][1] end
end
return reply
