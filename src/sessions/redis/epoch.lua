--[[
  Sets the time at which this Redis began to hold sessions, unless it is set.

  KEYS[1]  the epoch              lk1:epoch
  ARGV[1]  its TTL in seconds

  Returns  1 if the script set it, otherwise 0

  The epoch is in Unix seconds on Redis's clock, rounded down like the `iat` of a token.
]]
return redis.call('SET', KEYS[1], redis.call('TIME')[1], 'NX', 'EX', ARGV[1]) and 1 or 0
