import { Redis } from 'ioredis'
import { type Test, test } from 'tap'
import { type Answer, type Api, basicAuthorization, type Tokens, untilAvailable } from '../support/api.js'
import { claimsOf } from '../support/decode.js'
import { startRedis } from '../support/servers/redis.js'
import { startReplica } from '../support/servers/redis-sentinel.js'
import { CLIENT, PASSWORD, startService } from '../support/service.js'
import { scaledLimit } from '../support/time-limits.js'

const OTHER_PASSWORD = 'another battery, another staple'

/** A service that waits for its one replica. The replica can be made to lag. */
async function start(t: Test, overrides = {}) {
  const primary = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] })
  t.teardown(() => primary.stop())
  const replica = await startReplica(t, primary)
  const service = await startService(t, 'sqlite', { REDIS_URL: primary.url, REDIS_WAIT_REPLICAS: '1', ...overrides })
  const admin = new Redis(replica.url)
  t.teardown(() => admin.disconnect())
  const fallBehind = () => void replica.process.kill('SIGSTOP')
  const catchUp = () => void replica.process.kill('SIGCONT')
  t.teardown(catchUp)
  return { primary, replica, ...service, api: service.once, admin, fallBehind, catchUp }
}

interface Person {
  name: string
  mine: Tokens
  other: Tokens
}

async function newPerson(api: Api, name: string): Promise<Person> {
  await api.signUp(name, PASSWORD)
  return { name, mine: await api.tokens(name, PASSWORD), other: await api.tokens(name, PASSWORD) }
}

const admin = basicAuthorization(CLIENT)
const subOf = ({ access_token: token }: Tokens): string => claimsOf(token).sub

/** How to request a revocation repeatedly in the same words, the status of its success, and the ended sessions. */
interface Endpoint {
  ask(api: Api, person: Person): Promise<Answer>
  done: number
  ends: ('mine' | 'other')[]
}

const endpoints: Record<string, Endpoint> = {
  logout: { ask: (api, { mine }) => api.logout(mine.access_token), done: 204, ends: ['mine'] },
  'logout by refresh token': { ask: (api, { mine }) => api.logout(mine.refresh_token), done: 204, ends: ['mine'] },
  'logout-all': {
    ask: (api, { mine }) => api.call('/logout-all', { method: 'POST', bearer: mine.access_token }),
    done: 204,
    ends: ['mine', 'other'],
  },
  'DELETE /sessions/:sid': {
    ask: (api, { mine, other }) => api.call(`/sessions/${other.sid}`, { method: 'DELETE', bearer: mine.access_token }),
    done: 204,
    ends: ['other'],
  },
  'DELETE /sessions?except=current': {
    ask: (api, { mine }) => api.call('/sessions?except=current', { method: 'DELETE', bearer: mine.access_token }),
    done: 204,
    ends: ['other'],
  },
  'DELETE /users/me': {
    ask: (api, { mine }) =>
      api.call('/users/me', { method: 'DELETE', bearer: mine.access_token, json: { password: PASSWORD } }),
    done: 204,
    ends: ['mine', 'other'],
  },
  'DELETE /admin/sessions/:sid': {
    ask: (api, { other }) =>
      api.call(`/admin/sessions/${other.sid}?sub=${subOf(other)}`, { method: 'DELETE', headers: admin }),
    done: 204,
    ends: ['other'],
  },
  'DELETE /admin/sessions': {
    ask: (api, { mine }) => api.call(`/admin/sessions?sub=${subOf(mine)}`, { method: 'DELETE', headers: admin }),
    done: 204,
    ends: ['mine', 'other'],
  },
  'POST /admin/users/:id/disable': {
    ask: (api, { mine }) => api.call(`/admin/users/${subOf(mine)}/disable`, { method: 'POST', headers: admin }),
    done: 204,
    ends: ['mine', 'other'],
  },
  'DELETE /admin/users/:id': {
    ask: (api, { mine }) => api.call(`/admin/users/${subOf(mine)}`, { method: 'DELETE', headers: admin }),
    done: 204,
    ends: ['mine', 'other'],
  },
  'POST /revoke': {
    ask: (api, { other }) => api.call('/revoke', { form: { token: other.access_token } }),
    done: 200,
    ends: ['other'],
  },
}

test('F5: no revocation endpoint acknowledges before the replicas have the change, however often a client repeats the request', async (t) => {
  const { api, admin, fallBehind, catchUp } = await start(t)
  for (const [name, { ask, done, ends }] of Object.entries(endpoints)) {
    await t.test(name, async (t) => {
      const person = await newPerson(api, `ada-${Object.keys(endpoints).indexOf(name)}`)
      fallBehind()
      for (const which of ['first', 'second', 'third']) {
        const began = performance.now()
        const answer = await ask(api, person)
        t.match(answer, { status: 503, headers: { 'retry-after': '1' } }, `the ${which} time`)
        t.ok(performance.now() - began < scaledLimit(1000), `in ${performance.now() - began} ms`)
      }

      catchUp()
      t.equal((await untilAvailable(() => ask(api, person))).status, done)

      const left = (await admin.keys('lk1:*:s:*')).map((key) => key.slice(key.lastIndexOf(':') + 1))
      for (const which of ends) t.notOk(left.includes(person[which].sid), `the replica does not have ${which} any more`)
    })
  }
})

test('F5: a password change answers 503 until the replicas have it, and a repetition uses the new password', async (t) => {
  const { api, fallBehind, catchUp } = await start(t)
  const { mine, other } = await newPerson(api, 'ada')
  const change = (current: string, next: string) =>
    api.call('/users/me/password', {
      bearer: mine.access_token,
      json: { current_password: current, new_password: next },
    })
  fallBehind()
  t.equal((await change(PASSWORD, OTHER_PASSWORD)).status, 503)
  t.equal((await change(OTHER_PASSWORD, PASSWORD)).status, 503)

  catchUp()
  // The replica may still lag. The password has changed even when the answer is 503.
  let [current, next] = [PASSWORD, OTHER_PASSWORD]
  const answer = await untilAvailable(async () => {
    const answer = await change(current, next)
    ;[current, next] = [next, current]
    return answer
  })
  t.equal(answer.status, 204)
  t.equal(await api.isActive(mine.access_token), true)
  t.equal(await api.isActive(other.access_token), false)
})

test('F5: a reused refresh token is refused only after the replicas have the end of its session', async (t) => {
  const { api, audited, fallBehind, catchUp } = await start(t)
  const { mine } = await newPerson(api, 'ada')
  const { refresh_token: second } = (await api.refresh(mine.refresh_token)).body
  await api.refresh(second)
  fallBehind()

  t.equal((await api.refresh(mine.refresh_token)).status, 503, 'two generations old')
  t.equal(audited('refresh.reused').length, 1)
  t.equal((await api.refresh(mine.refresh_token)).status, 503, 'it has ended, and not for good')

  catchUp()
  t.equal((await untilAvailable(() => api.refresh(mine.refresh_token))).status, 400)
})

test("F5: a client's own token counts as revoked only after the replicas have the change", async (t) => {
  const { api, fallBehind, catchUp } = await start(t)
  const { access_token: token } = (
    await api.call('/token', { form: { grant_type: 'client_credentials' }, headers: admin })
  ).body
  fallBehind()
  for (let i = 0; i < 2; i += 1) t.equal((await api.call('/revoke', { form: { token } })).status, 503)

  catchUp()
  t.equal((await untilAvailable(() => api.call('/revoke', { form: { token } }))).status, 200)
  t.equal(await api.isActive(token), false)
})

test('only revocations wait for replicas; other requests do not wait behind them', async (t) => {
  const { api, fallBehind } = await start(t)
  const { mine, other } = await newPerson(api, 'ada')
  fallBehind()

  // When this process was paused, both answers are there at once, and their order says nothing. So there are several rounds.
  let wasFirst = false
  for (let round = 0; round < 10 && !wasFirst; round += 1) {
    let isEnding = true
    const ending = api.logout(other.access_token).finally(() => {
      isEnding = false
    })
    t.equal(await api.isActive(mine.access_token), true)
    wasFirst = isEnding
    t.equal((await ending).status, 503)
  }
  t.equal(wasFirst, true, 'introspection does not stand behind WAIT')

  const ending = api.logout(other.access_token)
  t.equal((await untilAvailable(() => api.refresh(mine.refresh_token))).status, 200)
  t.ok(await api.tokens('ada', PASSWORD))
  t.equal((await ending).status, 503)
})

test('simultaneous revocations share a WAIT, and each gets its answer', async (t) => {
  const { api, primary } = await start(t)
  await api.signUp('ada', PASSWORD)
  const all = await Promise.all(Array.from({ length: 40 }, () => api.tokens('ada', PASSWORD)))
  const admin = new Redis(primary.url)
  t.teardown(() => admin.disconnect())

  const answers = await Promise.all(all.map(({ access_token }) => untilAvailable(() => api.logout(access_token))))

  t.strictSame(new Set(answers.map(({ status }) => status)), new Set([204]))
  const waits = Number(/cmdstat_wait:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1])
  t.ok(waits >= 1 && waits < 40, `${waits} WAIT for 40`)
  for (const { access_token } of all) t.equal(await api.isActive(access_token), false)
})
