--[[
  Exactly-once rotation of each of these sessions: compare, and step, replay, or report.

  KEYS[1…]  sessions and their users' indexes, in turn   lk1:{SUB}:s:SID, lk1:{SUB}:i
  ARGV[1]   REFRESH_GRACE, ms; with 0 no old token is answered again, also not in the same millisecond
  ARGV[2]   REFRESH_TTL, ms
  ARGV[3]   the client whose sessions anyone may refresh
  ARGV[4…]  for each session, in the same order: its id, the generation presented, and the client that asks

  Returns   for each, in the same order:
            { 'unknown' }                          there is no such session, or it is another client's
            { 'reused', 'unused' or 'used' }       the generation was left behind, and whether its successor was ever used;
                                                   nothing is changed
            { 'replayed', now, expires, moved on, client, scope, audience, roles }
                                                   moved on within the grace; nothing is changed
            { 'rotated', … }                       moved on now

  Where one of them fails, all do (Redis is full, or a replica now): those before it have moved on, and a retry is answered
  as 'replayed'.

  A generation newer than the session's is one that Redis lost in a failover (only the service can make its MAC): the
  session is moved on to it. Grace runs on Redis's clock, which all replicas of the service share.
]]
local grace, ttl, firstParty = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- A piece of 63 bytes is a full one: the value may go on in another field.
local function whole(session, name, value)
  local piece, pieces = value or '', { value or '' }
  while #piece == 63 do
    piece = redis.call('HGET', session, name .. #pieces) or ''
    pieces[#pieces + 1] = piece
  end
  return table.concat(pieces)
end

local function rotate(session, index, sid, presented, asking)
  -- What each field is stands in fields.ts.
  local generation, client, rotated, ends, scope, audience, roles =
    unpack(redis.call('HMGET', session, 'g', 'c', 'r', 'e', 's', 'a', 'o'))
  if not generation then return { 'unknown' } end
  client = client or firstParty
  if client ~= asking and client ~= firstParty then return { 'unknown' } end

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
    local last = redis.call('ZREVRANGE', index, 0, 0, 'WITHSCORES')
    redis.call('PEXPIREAT', index, last[2])
  end
  return {
    outcome, now, expires, rotated, client,
    whole(session, 's', scope), whole(session, 'a', audience), whole(session, 'o', roles),
  }
end

local answers = {}
for i = 1, #KEYS / 2 do
  answers[i] = rotate(KEYS[2 * i - 1], KEYS[2 * i], ARGV[3 * i + 1], tonumber(ARGV[3 * i + 2]), ARGV[3 * i + 3])
end
return answers
