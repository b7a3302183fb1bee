-- Sends requests with many bearer tokens, one after the other. Arguments: file of tokens, method, number of the first token
local tokens, n = {}, 0

function init(args)
  for line in io.lines(args[1]) do tokens[#tokens + 1] = line end
  wrk.method = args[2]
  n = tonumber(args[3] or '0')
end

function request()
  n = n % #tokens + 1
  return wrk.format(nil, nil, { ['Authorization'] = 'Bearer ' .. tokens[n] })
end
