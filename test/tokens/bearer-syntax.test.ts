import { test } from 'tap'
import { refusedAnswers } from '../support/endpoints.js'
import { PASSWORD, startService } from '../support/service.js'
import { exchange } from '../support/socket.js'

/**
 * The rule: `Bearer` in any case, one space, and one token of RFC 6750's characters. White space at the end of a header
 * is not part of its value. Any other header holds no token.
 */
const written = (token: string, other: string): [value: string, isToken: boolean][] => [
  [`Bearer ${token}`, true],
  [`bearer ${token}`, true],
  [`BEARER ${token}`, true],
  [`bEaReR ${token}`, true],
  [`Bearer ${token} `, true],
  [`Bearer ${token}\t`, true],
  [`  Bearer ${token}`, true],
  [`Bearer  ${token}`, false],
  [`Bearer\t${token}`, false],
  [`Bearer\u00a0${token}`, false],
  [`Bearer${token}`, false],
  [`Bearer:${token}`, false],
  [`Bearer: ${token}`, false],
  [`Bearer=${token}`, false],
  [`Bearer, ${token}`, false],
  ['Bearer', false],
  ['Bearer ,', false],
  ['Bearer =', false],
  ['Bearer null', false],
  [token, false],
  [`Bearer ${token} ${other}`, false],
  [`Bearer ${token} ${token}`, false],
  [`Bearer ${token},${other}`, false],
  [`Bearer ${token}, ${other}`, false],
  [`Bearer ${token}, Bearer ${other}`, false],
  [`Bearer ${token},`, false],
  [`Bearer ,${token}`, false],
  [`Bearer ${token};`, false],
  [`Bearer Bearer ${token}`, false],
  [`Bearer "${token}"`, false],
  [`Bearer '${token}'`, false],
  [`Bearer <${token}>`, false],
  [`Bearer token=${token}`, false],
  [`Bearer token="${token}"`, false],
  [`Bearer ${token}=`, false],
  [`Bearer =${token}`, false],
  [`Bearer realm="latchkey", ${token}`, false],
  [`Token ${token}`, false],
  [`JWT ${token}`, false],
  [`DPoP ${token}`, false],
  [`Basic ${token}`, false],
  [`Basic ${Buffer.from(`:${token}`).toString('base64')}`, false],
  [`X-Bearer ${token}`, false],
  [`Bearer-Token ${token}`, false],
  [`Beare\u00f2 ${token}`, false],
]

test('J37: one rule says how a bearer token is written', async (t) => {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const live = await api.tokens('ada', PASSWORD)
  const other = await api.tokens('ada', PASSWORD)

  for (const [authorization, isToken] of written(live.access_token, other.access_token)) {
    const name = JSON.stringify(
      authorization.replaceAll(live.access_token, 'TOKEN').replaceAll(other.access_token, 'OTHER'),
    )
    const { status, headers, text } = await api.call('/sessions', { headers: { authorization } })
    if (isToken) {
      t.equal(status, 200, name)
    } else {
      t.equal(`${status} ${headers['www-authenticate']} ${text}`, refusedAnswers['sessions, as bearer'], name)
      const everywhere = await api.call('/logout-all', { method: 'POST', headers: { authorization } })
      t.equal(everywhere.status, 401)
    }
  }
  t.equal(await api.isActive(live.access_token), true)
  t.equal(await api.isActive(other.access_token), true)
})

test('J37: a refresh token obeys the same rule, and a sign-out with a malformed token gets an error', async (t) => {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const { access_token, refresh_token } = await api.tokens('ada', PASSWORD)
  const other = await api.tokens('ada', PASSWORD)

  for (const [authorization, isToken] of written(refresh_token, other.refresh_token)) {
    if (isToken) continue
    const name = JSON.stringify(
      authorization.replaceAll(refresh_token, 'TOKEN').replaceAll(other.refresh_token, 'OTHER'),
    )
    const refreshed = await api.call('/refresh', { method: 'POST', headers: { authorization } })
    t.equal(`${refreshed.status} ${refreshed.text}`, refusedAnswers['refresh, as bearer'], name)
    // A well-formed unknown token counts as signed out: RFC 7009 has no error for it.
    const signedOut = await api.call('/logout', { method: 'POST', headers: { authorization } })
    t.equal(signedOut.status, /^Bearer [\w.-]+=*$/.test(authorization) ? 204 : 401, name)
  }
  t.equal(await api.isActive(access_token), true)
  const lower = await api.call('/refresh', { method: 'POST', headers: { authorization: `bearer ${refresh_token}` } })
  t.equal(lower.status, 200)
})

test('J37: a request without the header gets no error code; a request with two headers gets 400', async (t) => {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const mine = await api.tokens('ada', PASSWORD)
  const other = await api.tokens('ada', PASSWORD)

  const none = await api.call('/sessions')
  t.equal(none.status, 401)
  t.equal(none.headers['www-authenticate'], 'Bearer realm="latchkey"')

  const pairs = [
    [`Authorization: Bearer ${mine.access_token}`, `Authorization: Bearer ${other.access_token}`],
    [`Authorization: Bearer ${mine.access_token}`, `Authorization: Bearer ${mine.access_token}`],
    [`authorization: Bearer ${mine.access_token}`, `AUTHORIZATION: Basic YTpi`],
    [`Authorization: `, `Authorization: Bearer ${mine.access_token}`],
  ]
  for (const lines of pairs) {
    for (const path of ['GET /sessions', 'POST /logout', 'POST /logout-all', 'POST /refresh', 'POST /introspect']) {
      // An HTTP client would correct the lines.
      const request = [`${path} HTTP/1.1`, 'Host: latchkey.test', ...lines, 'Connection: close', '', '']
      const { text } = await exchange(api.url, request.join('\r\n'))
      t.match(text, /^HTTP\/1\.1 400 /, path)
      t.match(text, '"error":"invalid_request"')
    }
  }
  t.equal(await api.isActive(mine.access_token), true)
})
