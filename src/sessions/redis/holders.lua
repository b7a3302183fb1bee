--[[
  Who holds each of these sessions.

  KEYS[1…]  sessions              lk1:{SUB}:s:SID

  Returns   for each, in the same order, the name of its user; nil where there is no such session
]]
local names = {}
for i, session in ipairs(KEYS) do
  local name = redis.call('HGET', session, 'un')
  -- A piece of 63 bytes is a full one: the name may go on in another field.
  if name and #name == 63 then
    local piece, pieces = name, { name }
    while #piece == 63 do
      piece = redis.call('HGET', session, 'un' .. #pieces) or ''
      pieces[#pieces + 1] = piece
    end
    name = table.concat(pieces)
  end
  names[i] = name
end
return names
