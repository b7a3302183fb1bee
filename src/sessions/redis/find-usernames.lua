--[[
  Finds the username of each session.

  KEYS[1…]  the sessions          lk1:{SUB}:s:SID

  Returns   the username of each session, in the same order; nil if the session has ended
]]
local names = {}
for i, session in ipairs(KEYS) do
  local name = redis.call('HGET', session, 'un')
  -- A piece of 63 bytes is full: the name may continue in another field.
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
