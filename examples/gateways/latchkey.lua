-- `http-request lua.latchkey URL` admits the request if Latchkey's /verify at URL answers 200.

local IDENTITY = {
  'x-auth-sub', 'x-auth-sid', 'x-auth-client-id', 'x-auth-scope', 'x-auth-roles', 'x-auth-time', 'x-auth-amr', 'x-auth-acr',
  'x-auth-act',
}

local function refuse(txn, status, challenge)
  local reply = txn:reply({ status = status })
  if challenge then reply:add_header('WWW-Authenticate', challenge) end
  txn:done(reply)
end

core.register_action('latchkey', { 'http-req' }, function(txn, url)
  local authorization = txn.http:req_get_headers()['authorization']
  local answer = core.httpclient():get({
    url = url,
    headers = { ['authorization'] = { authorization[0] } },
    -- Milliseconds for each attempt. HAProxy 2.6 makes four attempts.
    timeout = 500,
  })

  if answer and answer.status == 200 then
    for _, name in ipairs(IDENTITY) do
      txn.http:req_set_header(name, answer.headers[name][0])
    end
    return
  end
  if answer and (answer.status == 401 or answer.status == 403) then
    return refuse(txn, answer.status, answer.headers['www-authenticate'][0])
  end
  -- Latchkey does not answer, or cannot tell: refuse the request.
  refuse(txn, 503)
end, 1)
