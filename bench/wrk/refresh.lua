-- Sends POST with a refresh token, and then with the token of the answer. Arguments: file of refresh tokens, Basic credentials
-- or -, text before the token, tokens of a round, number of the round
local tokens, first, last = {}, 1, 0
local before

function init(args)
  local n, from, to = 0, args[4] * args[5], args[4] * (args[5] + 1)
  for line in io.lines(args[1]) do
    if n >= from and n < to then
      last = last + 1
      tokens[last] = line
    end
    n = n + 1
  end
  wrk.method = 'POST'
  if args[2] ~= '-' then wrk.headers['Authorization'] = 'Basic ' .. args[2] end
  wrk.headers['Content-Type'] = 'application/x-www-form-urlencoded'
  before = args[3]
end

function request()
  local token = tokens[first]
  tokens[first] = nil
  first = first + 1
  return wrk.format(nil, nil, nil, before .. token)
end

function response(status, headers, body)
  local token = body:match('"refresh_token":"([^"]+)"')
  if token then
    last = last + 1
    tokens[last] = token
  end
end
