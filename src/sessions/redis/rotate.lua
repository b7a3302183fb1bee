--[[
  Rotates the refresh token of each session exactly once.

  KEYS[1…]  pairs of a session and its user's index   lk1:{SUB}:s:SID, lk1:{SUB}:i
  ARGV[1]   REFRESH_GRACE, ms; with 0 no old token is answered again, not even in the same millisecond
  ARGV[2]   REFRESH_TTL, ms
  ARGV[3]   the first-party client id: every client may refresh its sessions
  ARGV[4…]  for each session, in the same order: its id, the presented generation, and the client id

  Returns   for each session, in the same order:
            { 'unknown' }                          the session has ended, or belongs to another client
            { 'reused', 'unused' or 'used' }       the generation is old; whether its successor was ever used. No change
            { 'replayed', now, expires, rotated at, authenticated at, methods, client, scope, audience, roles }
                                                   rotated before, within the grace period. No change
            { 'rotated', … }                       rotated now; the rest as for 'replayed'

  If one rotation fails (Redis is full, or has become a replica), the whole call fails. The sessions before it are rotated,
  and a retry of these gets 'replayed'.

  A generation newer than the session's is genuine, because only the service can make its MAC. Redis lost it in a failover,
  so the session takes it over. The grace period uses Redis's clock, which all instances of the service share.
]]
local grace, ttl, firstParty = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Joins the pieces of a value. A piece of 63 bytes is full: the value may continue in another field.
local function joinPieces(session, name, value)
  local piece, pieces = value or '', { value or '' }
  while #piece == 63 do
    piece = redis.call('HGET', session, name .. #pieces) or ''
    pieces[#pieces + 1] = piece
  end
  return table.concat(pieces)
end

local function rotate(session, index, sid, presented, clientId)
  -- fields.ts documents the fields.
  local generation, client, rotated, ends, scope, audience, roles, signedIn, authenticated, methods =
    unpack(redis.call('HMGET', session, 'g', 'c', 'r', 'e', 's', 'a', 'o', 'n', 't', 'm'))
  if not generation then return { 'unknown' } end
  client = client or firstParty
  if client ~= clientId and client ~= firstParty then return { 'unknown' } end

  generation = tonumber(generation)
  rotated = tonumber(rotated)

  local outcome, expires = 'rotated', nil
  if presented < generation then
    if presented ~= generation - 1 then return { 'reused', 'used' } end
    if now - rotated >= grace then return { 'reused', 'unused' } end
    outcome, expires = 'replayed', redis.call('PEXPIRETIME', session)
  else
    expires = now + ttl
    ends = tonumber(ends or expires)
    if ends < expires then expires = ends end
    rotated = now
    redis.call('HSET', session, 'g', string.format('%.0f', presented + 1), 'r', now)
    redis.call('PEXPIREAT', session, expires)
    redis.call('ZADD', index, expires, sid)
    -- The index lives as long as its last session.
    redis.call('PEXPIREAT', index, expires, 'GT')
  end
  return {
    outcome, now, expires, rotated, tonumber(authenticated or signedIn), methods or 'pwd', client,
    joinPieces(session, 's', scope), joinPieces(session, 'a', audience), joinPieces(session, 'o', roles),
  }
end

local replies = {}
for i = 1, #KEYS / 2 do
  replies[i] = rotate(KEYS[2 * i - 1], KEYS[2 * i], ARGV[3 * i + 1], tonumber(ARGV[3 * i + 2]), ARGV[3 * i + 3])
end
return replies
