import { feedKey, sessionIndexKey, sessionKey } from '@latchkey/verifier/redis-keys'
import { Redis } from 'ioredis'
import { type Test, test } from 'tap'
import { type Api, basicAuthorization, type Tokens } from '../support/api.js'
import { expectEvents } from '../support/audit-events.js'
import { createClient } from '../support/clients.js'
import { claimsOf } from '../support/decode.js'
import { Forger } from '../support/hostile/tokens.js'
import { latchkey, operatorEnvironment } from '../support/latchkey.js'
import { CLIENT, JWT_SECRET, PASSWORD, type RunningService, startService } from '../support/service.js'
import { isAll } from '../support/size.js'

/** How often each request is repeated. One repetition shows the defect. Thousands filled a Redis. */
const TIMES = isAll ? 200 : 20
const MADE_UP = '9f8Hn1VnTz2cUWl0q3yJ8A'

/** A service on Redis, and the entries of its feed without heartbeats. */
async function start(t: Test): Promise<RunningService & { redis: Redis; told(): Promise<string[][]> }> {
  const service = await startService(t, 'redis')
  const redis = new Redis(service.env.REDIS_URL as string)
  t.teardown(() => redis.disconnect())
  const told = async () => {
    const entries = (await redis.xrange(feedKey, '-', '+')).map(([, fields]) => fields)
    return entries.filter(([name]) => name !== 'hb')
  }
  return { ...service, redis, told }
}

async function repeat(ask: () => Promise<unknown>, times = TIMES): Promise<void> {
  for (let i = 0; i < times; i += 20) await Promise.all(Array.from({ length: 20 }, ask))
}

test('S1: the end of a session that ended before is not published again, on any route', async (t) => {
  const { api, env, told, audited } = await start(t)
  await api.signUp('ada', PASSWORD)
  const [mine, ended] = [await api.tokens('ada', PASSWORD), await api.tokens('ada', PASSWORD)]
  const sub = claimsOf(mine.access_token).sub
  const latest: Tokens = (await api.refresh((await api.refresh(ended.refresh_token)).body.refresh_token)).body
  t.equal((await api.logout(ended.access_token)).status, 204)
  t.strictSame(await told(), [['sid', ended.sid]])
  const remove = (path: string, more = {}) => api.call(path, { method: 'DELETE', ...more })
  const admin = { headers: basicAuthorization(CLIENT) }

  const ways: Record<string, () => Promise<{ status: number }>> = {
    'logout by access token': () => api.logout(ended.access_token),
    'logout by refresh token': () => api.logout(latest.refresh_token),
    'logout by a refresh token that was rotated': () => api.logout(ended.refresh_token),
    'revoke an access token': () => api.call('/revoke', { form: { token: ended.access_token } }),
    'revoke a refresh token': () => api.call('/revoke', { form: { token: ended.refresh_token }, ...admin }),
    'reuse of a refresh token': () => api.refresh(ended.refresh_token),
    'the refresh token that was current': () => api.refresh(latest.refresh_token),
    'end one of mine': () => remove(`/sessions/${ended.sid}`, { bearer: mine.access_token }),
    'end one that never was': () => remove(`/sessions/${MADE_UP}`, { bearer: mine.access_token }),
    'end all others, and there are none': () => remove('/sessions?except=current', { bearer: mine.access_token }),
    'end one as administrator': () => remove(`/admin/sessions/${ended.sid}?sub=${sub}`, admin),
    'end one that never was, as administrator': () => remove(`/admin/sessions/${MADE_UP}?sub=${sub}`, admin),
    'end all of nobody': () => remove(`/admin/sessions?sub=00000000-0000-4000-8000-000000000000`, admin),
  }
  for (const [way, ask] of Object.entries(ways)) {
    t.ok((await ask()).status < 500, way)
    await repeat(ask)
    t.strictSame(await told(), [['sid', ended.sid]], way)
  }
  t.match(await latchkey(['sessions', 'revoke', 'ada', ended.sid, MADE_UP], operatorEnvironment(env)), {
    code: 0,
    stdout: 'No such session was alive.\n',
  })
  t.strictSame(await told(), [['sid', ended.sid]], 'on the command line')
  t.equal(audited('session.ended').length, 1)
  t.equal(await api.isActive(mine.access_token), true)
})

test('S1: the end of all sessions of a user does not publish an expired session', async (t) => {
  const { api, redis, told } = await start(t)
  await api.signUp('ada', PASSWORD)
  const [mine, expired] = [await api.tokens('ada', PASSWORD), await api.tokens('ada', PASSWORD)]
  const { sub } = claimsOf(mine.access_token)
  await redis.pexpire(sessionKey(sub, expired.sid), 0)
  t.equal((await redis.zrange(sessionIndexKey(sub), '0', '-1')).length, 2, 'the index has it still')

  t.equal((await api.call('/logout-all', { method: 'POST', bearer: mine.access_token })).status, 204)

  t.strictSame(await told(), [['sid', mine.sid]])
})

test('S1: a sign-out that could not be published is published by its repetition', async (t) => {
  const { api, once, redis, told } = await start(t)
  await api.signUp('ada', PASSWORD)
  const { access_token: token, sid } = await api.tokens('ada', PASSWORD)
  await redis.config('SET', 'maxmemory', '1')
  t.equal((await once.logout(token)).status, 503)
  t.equal(await api.isActive(token), true, 'it was told to nobody, so it has not ended')
  await redis.config('SET', 'maxmemory', '0')

  t.equal((await api.logout(token)).status, 204)

  t.strictSame(await told(), [['sid', sid]])
  t.equal(await api.isActive(token), false)
})

test('S1: the end of a client’s tokens is published once, and an older end never', async (t) => {
  const { api, env, told, audited } = await start(t)
  const client = await createClient(env, 'backend', { scopes: ['todo:read'] })
  const form = { grant_type: 'client_credentials' }
  const { access_token: token } = (await api.call('/token', { form, headers: basicAuthorization(client) })).body
  const { iat } = claimsOf(token)
  const older = new Forger(JWT_SECRET, claimsOf(token), '').withClaims({ iat: iat - 5 })
  const revoke = (api: Api, token: string) => api.call('/revoke', { form: { token } })

  t.equal((await revoke(api, token)).status, 200)
  await repeat(() => revoke(api, token))
  await repeat(() => revoke(api, older))

  t.strictSame(await told(), [['sub', 'backend', 'nbf', String(iat)]])
  expectEvents(t, audited('client.tokens_revoked'), [{ sub: 'backend', nbf: iat }])
  t.equal(await api.isActive(token), false)
})
