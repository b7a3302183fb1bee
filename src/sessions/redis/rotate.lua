--[[
  Exactly-once rotation: compare, and step, replay, or report.

  KEYS[1]  the session            lk1:{SUB}:s:SID
  KEYS[2]  the user's index       lk1:{SUB}:i
  ARGV[1]  session id
  ARGV[2]  the generation presented
  ARGV[3]  REFRESH_GRACE, ms
  ARGV[4]  REFRESH_TTL, ms
  ARGV[5]  the client that asks, and
  ARGV[6]  the one whose sessions anyone may refresh

  Returns  { 'unknown' }                          there is no such session, or it is another client's
           { 'reused' }                           the generation was left behind; nothing is changed
           { 'replayed', now, expires, moved on, client, scope, audience, roles }
                                                  moved on within the grace; nothing is changed
           { 'rotated', … }                       moved on now

  A generation newer than the session's is one that Redis lost in a failover (only the service can make its MAC): the
  session is moved on to it. Grace runs on Redis's clock, which all replicas of the service share.
]]
-- What each field is stands in fields.ts.
local generation, client, rotated, ends, scope, audience, roles =
  unpack(redis.call('HMGET', KEYS[1], 'g', 'c', 'r', 'e', 's', 'a', 'o'))
if not generation then return { 'unknown' } end
client = client or ARGV[6]
if client ~= ARGV[5] and client ~= ARGV[6] then return { 'unknown' } end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local presented = tonumber(ARGV[2])
generation = tonumber(generation)
rotated = tonumber(rotated)

local outcome, expires = 'rotated', nil
if presented < generation then
  if presented ~= generation - 1 or now - rotated > tonumber(ARGV[3]) then return { 'reused' } end
  outcome, expires = 'replayed', redis.call('PEXPIRETIME', KEYS[1])
else
  expires = now + tonumber(ARGV[4])
  ends = tonumber(ends or expires)
  if ends < expires then expires = ends end
  rotated = now
  redis.call('HSET', KEYS[1], 'g', string.format('%.0f', presented + 1), 'r', now)
  redis.call('PEXPIREAT', KEYS[1], expires)
  redis.call('ZADD', KEYS[2], expires, ARGV[1])
  local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
  redis.call('PEXPIREAT', KEYS[2], last[2])
end

-- A piece of 63 bytes is a full one: the value may go on in another field.
local function whole(name, value)
  local piece, pieces = value or '', { value or '' }
  while #piece == 63 do
    piece = redis.call('HGET', KEYS[1], name .. #pieces) or ''
    pieces[#pieces + 1] = piece
  end
  return table.concat(pieces)
end
return { outcome, now, expires, rotated, client, whole('s', scope), whole('a', audience), whole('o', roles) }
