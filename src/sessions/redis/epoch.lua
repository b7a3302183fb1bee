--[[
  Notes when this Redis began to hold sessions, unless that is noted.

  KEYS[1]  the epoch              lk1:epoch

  Returns  1 where it was noted now, else 0

  In seconds, rounded down, as the `iat` of a token is. By Redis's clock.
]]
return redis.call('SET', KEYS[1], redis.call('TIME')[1], 'NX') and 1 or 0
