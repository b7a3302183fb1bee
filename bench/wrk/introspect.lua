-- POST /introspect with one of many tokens, one after the other. Arguments: file of tokens, Basic credentials, content type
local tokens, n = {}, 0

function init(args)
  for line in io.lines(args[1]) do tokens[#tokens + 1] = line end
  wrk.method = 'POST'
  wrk.headers['Authorization'] = 'Basic ' .. args[2]
  wrk.headers['Content-Type'] = args[3]
  json = args[3] == 'application/json'
end

function request()
  n = n % #tokens + 1
  local body = json and '{"token":"' .. tokens[n] .. '"}' or 'token=' .. tokens[n]
  return wrk.format(nil, nil, nil, body)
end
