-- POST /refresh, each time with the token that the answer before gave. Argument: file of refresh tokens
local tokens, first, last = {}, 1, 0

function init(args)
  for line in io.lines(args[1]) do
    last = last + 1
    tokens[last] = line
  end
  wrk.method = 'POST'
  wrk.headers['Content-Type'] = 'application/x-www-form-urlencoded'
end

function request()
  local token = tokens[first]
  tokens[first] = nil
  first = first + 1
  return wrk.format(nil, nil, nil, 'refresh_token=' .. token)
end

function response(status, headers, body)
  local token = body:match('"refresh_token":"([^"]+)"')
  if token then
    last = last + 1
    tokens[last] = token
  end
end
