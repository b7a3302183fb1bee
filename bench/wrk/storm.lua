-- Sends sign-ins, one line of a file after the other, as fast as the answers come. A refused connection retries ten times a
-- second, although Retry-After asks for one second, and out of step with the others. Arguments: the file, and optionally 'one'
-- or 'many' addresses for X-Forwarded-For. Prints the number of sign-ins for each answer, and the number refused without
-- Retry-After (`rude`)
local lines, n, wait, from = {}, 0, 0
accepted, busy, other, rude = 0, 0, 0, 0
local thread

function setup(one) thread = one end

function init(args)
  for line in io.lines(args[1]) do lines[#lines + 1] = line end
  wrk.method = 'POST'
  wrk.headers['Content-Type'] = 'application/x-www-form-urlencoded'
  from = args[2]
  if from == 'one' then wrk.headers['X-Forwarded-For'] = '192.0.2.1' end
end

function request()
  n = n % #lines + 1
  if from == 'many' then wrk.headers['X-Forwarded-For'] = '198.18.0.' .. n end
  return wrk.format(nil, nil, nil, lines[n])
end

function response(status, headers)
  if status == 200 then accepted = accepted + 1
  elseif status == 503 then busy = busy + 1
  else other = other + 1 end
  if status == 200 then return end
  wait = math.random(50, 150)
  for name in pairs(headers) do if name:lower() == 'retry-after' then return end end
  rude = rude + 1
end

function delay()
  local now = wait
  wait = 0
  return now
end

function done()
  for _, name in ipairs({ 'accepted', 'busy', 'other', 'rude' }) do print(name .. '=' .. thread:get(name)) end
end
