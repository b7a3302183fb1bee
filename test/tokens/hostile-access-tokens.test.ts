import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Redis } from 'ioredis'
import { type Test, test } from 'tap'
import type { Api } from '../support/api.js'
import { secondsNow } from '../support/assertions.js'
import { claimsOf } from '../support/decode.js'
import { fitsHeader, presentAtEveryEndpoint, refusedAnswers } from '../support/endpoints.js'
import { eventually } from '../support/eventually.js'
import { byCase, Forger, type HostileToken, hostileTokens } from '../support/hostile/tokens.js'
import { watchCommands } from '../support/servers/redis-commands.js'
import { anyStore, JWT_SECRET, PASSWORD, startService, stores } from '../support/service.js'

// If the service accepted one of these, its values would reach the store. So `npm run test:all` sends them to
// every store. The others fail at the header.
const onEveryStore = /^J([1-5]|1[3-9]|2[0-3]|2[7-9]|3[01])$/

for (const store of anyStore) {
  test(`J1–J35 on ${store}: hostile tokens give no access and end nothing`, async (t) => {
    const { api, log } = await startService(t, store, { LOG_LEVEL: 'warn' })
    await api.signUp('ada', PASSWORD)
    const live = await api.tokens('ada', PASSWORD)
    const canary = await startCanary(t)
    const forger = new Forger(JWT_SECRET, claimsOf(live.access_token), canary.url)
    const cases = byCase(hostileTokens(forger)).filter(([id]) => store === 'sqlite' || onEveryStore.test(id))

    t.equal(await api.isActive(forger.token()), true, 'with no defect it is live')
    for (const [id, tokens] of cases) {
      await t.test(`${id}: each of ${tokens.length} tokens gets the same refusal`, async (t) => {
        t.strictSame(await wrongAnswers(api, tokens, store === 'sqlite' ? askEveryEndpoint : askStoreEndpoints), {})
        t.equal(await api.isActive(live.access_token), true, 'the session lives')
      })
    }

    const { body } = await api.call('/sessions', { bearer: forger.token() })
    t.strictSame(
      body.sessions.map((session: { sid: string }) => session.sid),
      [live.sid],
    )
    t.equal((await api.refresh(live.refresh_token)).status, 200, 'nor has its refresh token been spent')
    t.strictSame(
      log.filter(({ level }) => (level as number) >= 50),
      [],
      'no fault was logged',
    )
    await fetch(`${canary.url}/control`)
    t.strictSame(canary.hits, ['GET /control'], 'J9: nobody called the canary but we')
  })
}

/** The wrong answers, by the defect of the token. */
async function wrongAnswers(
  api: Api,
  tokens: readonly HostileToken[],
  ask: Ask = askEveryEndpoint,
): Promise<Record<string, unknown>> {
  const wrong: Record<string, unknown> = {}
  const present = async (hostile: HostileToken) => {
    for (const [endpoint, answer, right] of await ask(api, hostile)) {
      if (answer !== right) wrong[`${hostile.what}: ${endpoint}`] = answer
    }
  }
  const atOnce = 8
  for (let i = 0; i < tokens.length; i += atOnce) await Promise.all(tokens.slice(i, i + atOnce).map(present))
  return wrong
}

/**
 * Whether the token ends its session although it gives no access: a genuine token that is expired, not yet valid, or for
 * another audience. The tests of sign-out cover these.
 */
const signsOut = ({ token, code }: HostileToken) =>
  code === 'expired' ||
  code === 'not_yet_valid' ||
  (code === 'wrong_audience' && typeof claimsOf(token).aud === 'string')

/** A token with this service's claims and an unknown key may be genuine, so a 204 would be a false promise. */
const right = ({ code }: HostileToken) =>
  code === 'unknown_key' ? { logout: '401', revoke: '400 unsupported_token_type' } : { logout: '204', revoke: '200 ' }

type Ask = (api: Api, hostile: HostileToken) => Promise<[endpoint: string, answer: string, right: string][]>

/** The answer of each endpoint to the token, with the right answer. */
const askEveryEndpoint: Ask = async (api, hostile) => {
  const { token } = hostile
  const outcome = await presentAtEveryEndpoint(api, token)
  const answers = Object.entries(outcome).map(([endpoint, answer]): [string, string, string] => {
    return [endpoint, answer, refusedAnswers[endpoint as keyof typeof refusedAnswers]]
  })
  if (signsOut(hostile)) return answers

  const signedOut = await api.call('/logout', { json: { token } })
  answers.push(['logout, in the body', `${signedOut.status}`, right(hostile).logout])
  const revoked = await api.call('/revoke', { form: { token } })
  answers.push(['revoke', `${revoked.status} ${revoked.body?.error ?? revoked.text}`, right(hostile).revoke])
  if (outcome['sessions, as bearer'] !== undefined) {
    const { status } = await api.logout(token)
    // A malformed bearer token must get an error at sign-out.
    answers.push(['logout, as bearer', `${status}`, /^[\w.~+/-]+=*$/.test(token) ? right(hostile).logout : '401'])
  }
  return answers
}

/** One endpoint for each operation of a store. */
const askStoreEndpoints: Ask = async (api, hostile) => {
  const { token } = hostile
  const [introspected, refreshed, signedOut] = await Promise.all([
    api.introspect(token),
    api.refresh(token),
    signsOut(hostile) ? undefined : api.call('/logout', { json: { token } }),
  ])
  return [
    ['introspect', `${introspected.status} ${introspected.text}`, refusedAnswers.introspect],
    ['refresh, in the body', `${refreshed.status} ${refreshed.text}`, refusedAnswers['refresh, in the body']],
    ['logout, in the body', `${signedOut?.status ?? right(hostile).logout}`, right(hostile).logout],
  ]
}

/** One token of each case and code. A token that fits in a header is preferred, because more endpoints take it. */
function oneOfEach(tokens: readonly HostileToken[]): HostileToken[] {
  const fitting = tokens.filter(({ token }) => token.length < 7800 && fitsHeader(token))
  const byKind = new Map([...tokens, ...fitting].map((hostile) => [`${hostile.id} ${hostile.code}`, hostile]))
  return [...byKind.values()]
}

async function startCanary(t: Test): Promise<{ url: string; hits: string[] }> {
  const hits: string[] = []
  const server = createServer(({ method, url }, response) => {
    hits.push(`${method} ${url}`)
    response.setHeader('content-type', 'application/json')
    response.end('{"keys":[]}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, hits }
}

test('J6: a foreign token costs no look-up: Redis counts none', async (t) => {
  const { api, env } = await startService(t, 'redis', { LOG_LEVEL: 'warn' })
  await api.signUp('ada', PASSWORD)
  const live = await api.tokens('ada', PASSWORD)
  const forger = new Forger(JWT_SECRET, claimsOf(live.access_token), 'http://127.0.0.1:9')
  const redis = new Redis(env.REDIS_URL as string)
  t.teardown(() => redis.disconnect())
  // Only keys of users and clients count. The service reads other keys all the time.
  const isLookUp = ([command = '', key = '']: string[]) =>
    /^(hget|hgetall|exists|get|zrange|del|unlink)$/i.test(command) && key.startsWith('lk1:{')
  let count = 0
  let lastEcho = ''
  await watchCommands(t, env.REDIS_URL as string, (command) => {
    if (isLookUp(command)) count += 1
    else if (command[0]?.toLowerCase() === 'echo') lastEcho = command[1] as string
  })
  const lookUps = async () => {
    const mark = randomUUID()
    await redis.echo(mark)
    await eventually(async () => lastEcho === mark)
    return count
  }

  const before = await lookUps()
  const strangers = hostileTokens(forger).filter(({ id }) => /^J([1-9]|1[0-2]|28)$/.test(id))
  const chosen = oneOfEach(strangers)
  t.strictSame(await wrongAnswers(api, chosen), {})
  const others = strangers.filter((hostile) => !chosen.includes(hostile))
  t.strictSame(await wrongAnswers(api, others, askStoreEndpoints), {})
  t.equal(await lookUps(), before)
  await api.introspect(forger.token())
  t.equal(await lookUps(), before + 1, 'a genuine one costs one')
})

test('J18: from exp on a token gives no access, and still signs out', async (t) => {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const live = await api.tokens('ada', PASSWORD)
  const forger = new Forger(JWT_SECRET, claimsOf(live.access_token), '')
  const exp = secondsNow()
  const expired = forger.withClaims({ iat: exp - 60, exp })

  t.strictSame(await presentAtEveryEndpoint(api, expired), refusedAnswers)
  t.equal(await api.isActive(live.access_token), true)
  t.equal((await api.logout(expired)).status, 204)
  t.equal(await api.isActive(live.access_token), false)
})

for (const store of stores) {
  test(`J22: the user and the session of a token must match, on ${store}`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    await api.signUp('bob', PASSWORD)
    const ada = claimsOf((await api.tokens('ada', PASSWORD)).access_token)
    const bobs = await api.tokens('bob', PASSWORD)
    const bob = claimsOf(bobs.access_token)
    const forger = new Forger(JWT_SECRET, ada, '')
    const mixed = {
      'his user, her session': { sub: bob.sub },
      'her user, his session': { sid: bob.sid },
      'no such user': { sub: '00000000-0000-4000-8000-000000000000' },
      'no session, like a client’s own': { sid: undefined, client_id: bob.sub, sub: bob.sub },
      'no such session': { sid: 'AAAAAAAAAAAAAAAAAAAAAA' },
      'a pattern': { sid: '*' },
      'a pattern of SQL': { sid: '%' },
      SQL: { sid: `'OR'1'='1` },
      'her user, in capitals': { sub: ada.sub.toUpperCase() },
      'a key within a key': { sub: `${ada.sub}}:s:${ada.sid}`, sid: 'x' },
      'her session, cut short': { sid: ada.sid?.slice(0, -1) },
    }

    for (const [what, claims] of Object.entries(mixed)) {
      const token = forger.withClaims(claims)
      t.strictSame(await presentAtEveryEndpoint(api, token), refusedAnswers, what)
      t.equal((await api.logout(token)).status, 204)
    }
    t.equal(await api.isActive(forger.token()), true)
    t.equal(await api.isActive(bobs.access_token), true)
  })
}

test('a claim of the token cannot change the answer of an introspection', async (t) => {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const claims = claimsOf((await api.tokens('ada', PASSWORD)).access_token)
  const forger = new Forger(JWT_SECRET, claims, '')
  const more = { active: false, username: 'root', token_type: 'DPoP', client: 'x' }

  const token = forger.withClaims(more)
  const { body } = await api.introspect(token)
  const { jti } = claimsOf(token)
  t.strictSame(body, { active: true, ...claims, jti, username: 'ada', token_type: 'Bearer', roles: [] })
})
