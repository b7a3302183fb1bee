--[[
  Forgets the attempts of an account after a right code, or takes one attempt back whose code was not compared.

  KEYS[1]   the attempts of an account, a hash    lk1:t:m:HASH
  ARGV[1]   the id of the count that has the attempt
  ARGV[2]   the end of the wait that the attempt began, or ''
  ARGV[3]   'success' or 'not_compared'

  Returns   1

  A success forgets the attempts that are still being compared too. So an attempt is taken back only from its own count:
  otherwise the next count would lose attempts, or fall below zero.
]]
if ARGV[3] == 'success' then
  redis.call('HDEL', KEYS[1], 'n', 'g')
elseif redis.call('HGET', KEYS[1], 'g') == ARGV[1] then
  redis.call('HINCRBY', KEYS[1], 'n', -1)
end
if ARGV[2] ~= '' and redis.call('HGET', KEYS[1], 'w') == ARGV[2] then redis.call('HDEL', KEYS[1], 'w') end
return 1
