import { type Test, test } from 'tap'
import { SIGN_IN_REFUSALS } from '../../src/audit.js'
import { eventually } from '../support/eventually.js'
import { Feed, getRevocations } from '../support/feed.js'
import { type Samples, scrape } from '../support/scrape.js'
import { type Environment, PASSWORD, type RunningService, redisOf, startService, stores } from '../support/service.js'

const signedIn = async (t: Test, overrides: Environment = {}) => {
  const service = await startService(t, 'sqlite', overrides)
  await service.api.signUp('ada', PASSWORD)
  return { service, tokens: await service.api.tokens('ada', PASSWORD) }
}

/** The increase of a value while `act` runs. */
async function moved({ managementUrl }: RunningService, act: () => Promise<unknown>) {
  const before = await scrape(managementUrl)
  await act()
  const after = await scrape(managementUrl)
  return (name: string, labels: Record<string, string> = {}) =>
    (after.value(name, labels) ?? 0) - (before.value(name, labels) ?? 0)
}

test('each request is counted and timed under its route pattern', async (t) => {
  const { service, tokens } = await signedIn(t)
  const { api } = service
  const began = performance.now()
  const by = await moved(service, async () => {
    await api.introspect(tokens.access_token)
    await api.introspect(tokens.access_token)
    await api.call(`/sessions/${tokens.sid}`, { method: 'DELETE', bearer: tokens.access_token })
    await api.call(`/sessions/${tokens.sid}`, { method: 'DELETE', bearer: tokens.access_token })
    await api.call('/sessions/x', { method: 'PATCH' })
    await api.call('/nowhere')
    await api.call('/%zz')
  })
  const requests = (method: string, route: string, status: number) =>
    by('latchkey_http_requests_total', { method, route, status: String(status) })
  t.equal(requests('POST', '/introspect', 200), 2)
  t.equal(requests('DELETE', '/sessions/:sid', 204), 1)
  t.equal(requests('DELETE', '/sessions/:sid', 401), 1)
  t.equal(requests('any', '/sessions/:sid', 405), 1)
  t.equal(requests('none', 'none', 404), 1)
  t.equal(requests('none', 'none', 400), 1)
  const labels = { method: 'POST', route: '/introspect' }
  t.equal(by('latchkey_http_request_duration_seconds_count', labels), 2)
  t.equal(by('latchkey_http_request_duration_seconds_bucket', { ...labels, le: '+Inf' }), 2)
  const seconds = by('latchkey_http_request_duration_seconds_sum', labels)
  t.ok(seconds > 0 && seconds < (performance.now() - began) / 1000, `two of them took ${seconds} s`)
})

test('sign-ins are counted by result, rotations by outcome, and ended sessions by reason', async (t) => {
  const { service, tokens } = await signedIn(t)
  const { api } = service
  const by = await moved(service, async () => {
    const laptop = await api.tokens('ada', PASSWORD)
    await api.login('ada', 'a wrong password')
    await api.login('nobody', 'a wrong password')
    const { refresh_token: second } = (await api.refresh(tokens.refresh_token)).body
    await api.refresh(tokens.refresh_token)
    const { refresh_token: third } = (await api.refresh(second)).body
    await api.refresh('lkr_forged')
    // A refresh token that is two generations old: stolen, or kept by the client.
    await api.refresh(tokens.refresh_token)
    await api.refresh(third)
    await api.logout(laptop.access_token)
  })
  t.equal(by('latchkey_sign_ins_total', { result: 'accepted' }), 1)
  t.equal(by('latchkey_sign_ins_total', { result: 'wrong_password' }), 1)
  t.equal(by('latchkey_sign_ins_total', { result: 'unknown_user' }), 1)
  for (const [outcome, count] of Object.entries({
    rotated: 2,
    replayed: 1,
    reused: 1,
    forged: 1,
    no_such_session: 1,
  })) {
    t.equal(by('latchkey_rotations_total', { outcome }), count, outcome)
  }
  t.equal(by('latchkey_revocations_total', { cause: 'reuse' }), 1)
  t.equal(by('latchkey_revocations_total', { cause: 'logout' }), 1)
  const { value } = await scrape(service.managementUrl)
  for (const result of SIGN_IN_REFUSALS) {
    t.not(value('latchkey_sign_ins_total', { result }), undefined, `${result} exists before the first one`)
  }
})

test('the metrics of the hash queue show its depth, its waits and its refusals', async (t) => {
  const service = await startService(t, 'sqlite', { HASH_COST: 'full', HASH_CONCURRENCY: '1', HASH_QUEUE: '2' })
  const attempts = Array.from({ length: 40 }, (_, i) => service.api.login(`user-${i}`, 'x'))
  const during = await scrape(service.managementUrl)
  const statuses = (await Promise.all(attempts)).map(({ status }) => status)
  const refused = statuses.filter((status) => status === 503).length
  t.ok(refused > 0)
  t.equal(during.value('latchkey_hash_queue_limit'), 2)
  t.ok((during.value('latchkey_hash_active') ?? 9) <= 1)
  t.ok((during.value('latchkey_hash_waiting') ?? 9) <= 2)
  const after = await scrape(service.managementUrl)
  t.equal(after.value('latchkey_hash_refused_total'), refused)
  t.equal(after.value('latchkey_hash_wait_seconds_count'), 40 - refused)
  t.ok((after.value('latchkey_hash_wait_seconds_sum') ?? 0) > 0.005, 'somebody waited for somebody')
  t.equal(after.value('latchkey_hash_duration_seconds_count'), 40 - refused)
})

for (const store of stores) {
  test(`${store}: store operations are timed, live sessions are counted, and the process has its default metrics`, async (t) => {
    const service = await startService(t, store)
    const { api, managementUrl } = service
    await api.signUp('ada', PASSWORD)
    const [one] = [await api.tokens('ada', PASSWORD), await api.tokens('ada', PASSWORD)]
    await api.introspect(one.access_token)
    let seen = await scrape(managementUrl)
    await eventually(async () => {
      seen = await scrape(managementUrl)
      // On a busy machine the gauge may be absent, because its value was not read in time. The feed may be old, because the
      // service wrote its heartbeat late.
      const isUp = seen.value('latchkey_dependency_up', { dependency: 'database' }) === 1
      const isFresh = store !== 'redis' || (seen.value('latchkey_feed_age_seconds') ?? 9) < 2
      return isUp && isFresh && seen.value('latchkey_sessions_live') !== undefined
    })
    t.equal(seen.value('latchkey_sessions_live'), 2)
    t.equal(seen.value('latchkey_session_store_duration_seconds_count', { operation: 'create' }), 2)
    t.equal(seen.value('latchkey_session_store_duration_seconds_count', { operation: 'findUsername' }), 1)
    t.ok((seen.value('latchkey_database_query_duration_seconds_count') ?? 0) >= 3)
    t.equal(seen.value('latchkey_dependency_up', { dependency: 'database' }), 1)
    t.equal(seen.value('latchkey_dependency_up', { dependency: 'redis' }), store === 'redis' ? 1 : undefined)
    const age = seen.value('latchkey_feed_age_seconds')
    if (store === 'redis') t.ok(age !== undefined && age < 2, `the heartbeat is ${age} s old`)
    else t.equal(age, undefined, 'there is no feed')
    t.equal(seen.value('latchkey_build_info', { version: '0.1.0', node: process.versions.node }), 1)
    t.ok((seen.value('process_resident_memory_bytes') ?? 0) > 10_000_000)
    t.ok((seen.value('nodejs_eventloop_lag_seconds') ?? -1) >= 0)
    await api.logout(one.access_token)
    t.equal((await scrape(managementUrl)).value('latchkey_sessions_live'), 1)
  })
}

test('while Redis is down, the metrics say so and omit the values that only Redis knows', async (t) => {
  const redis = await redisOf(t)
  const { api, once, managementUrl } = await startService(t, 'sqlite', { REDIS_URL: redis.url })
  await api.signUp('ada', PASSWORD)
  const { access_token: token } = await api.tokens('ada', PASSWORD)
  await redis.stop()
  t.equal((await once.introspect(token)).status, 503)
  const seen = await scrape(managementUrl)
  t.equal(seen.value('latchkey_dependency_up', { dependency: 'redis' }), 0)
  t.equal(seen.value('latchkey_session_store_errors_total', { operation: 'findUsername' }), 1)
  t.equal(seen.value('latchkey_sessions_live'), undefined)
  t.equal(seen.value('latchkey_feed_age_seconds'), undefined)
})

/** The values that each label may have. A new label needs a line, and a bound. */
const LABELS: Record<string, RegExp> = {
  method: /^(GET|HEAD|POST|PUT|PATCH|DELETE|any|none|private_key_jwt|trusted_issuer)$/,
  route: /^(none|\/[a-z0-9:*./-]*)$/,
  status: /^\d{3}$/,
  result: /^[a-z_]{1,30}$/,
  outcome: /^[a-z_]{1,30}$/,
  cause: /^[a-z_]{1,30}$/,
  operation: /^[a-zA-Z]{1,30}$/,
  dependency: /^(database|redis)$/,
  le: /^(\+Inf|[\d.e-]+)$/,
  version: /^v?\d+\.\d+\.\d+$/,
  node: /^\d+\.\d+\.\d+$/,
  ...{ kind: /^[a-z]+$/, space: /^[a-z_]+$/, type: /^\w+$/, major: /^\d+$/, minor: /^\d+$/, patch: /^\d+$/ },
}

test('C5: no label holds a user, a token, an id or an address, and the number of series does not grow with callers', async (t) => {
  const { service, tokens } = await signedIn(t)
  const { api, managementUrl } = service
  const attack = async (i: number) => {
    const canary = `Zq7canary${i}`
    await api.call(`/${canary}?token=${canary}`)
    await api.call(`/sessions/${canary}`, { method: 'DELETE', bearer: tokens.access_token })
    await api.call(`/verify/${canary}?aud=${canary}`, { bearer: canary, method: i % 2 ? 'PROPFIND' : 'GET' })
    await api.login(canary, canary, { device_name: canary, audience: canary })
    await api.login(canary, canary)
    await api.call('/introspect', { form: { token: canary, client_id: canary, client_secret: canary } })
    await api.refresh(`lkr_${canary}`)
    await api.call('/login', { method: 'PROPFIND', headers: { 'user-agent': canary, 'x-request-id': canary } })
  }
  await attack(0)
  await attack(1)
  const first = await scrape(managementUrl)
  for (let i = 2; i < 20; i += 1) await attack(i)
  const seen = await scrape(managementUrl)

  t.notMatch(seen.text, /Zq7canary|eyJ|lkr_/)
  t.notMatch(seen.text, new RegExp(`ada|127\\.0\\.0\\.1|${tokens.sid}`))
  t.equal(countSeries(seen), countSeries(first), 'callers make no series')
  for (const { name, labels } of seen.samples) {
    for (const [label, value] of Object.entries(labels)) {
      t.ok(LABELS[label]?.test(value), `${name}: ${label}="${value}" is bounded`)
    }
  }
})

const countSeries = ({ samples }: Samples) => samples.filter(({ name }) => name.startsWith('latchkey_')).length

test('only the management port serves metrics', async (t) => {
  const { api, managementUrl } = await startService(t, 'sqlite')
  t.equal((await api.call('/metrics')).status, 404)
  const answer = await fetch(`${managementUrl}/metrics`)
  t.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
})

test('the followers that wait for news are counted, until the news comes', async (t) => {
  const { service, tokens } = await signedIn(t)
  const feed = await new Feed(service.api).readAll()
  const waiting = async () => (await scrape(service.managementUrl)).value('latchkey_followers_waiting')
  t.equal(await waiting(), 0)
  let isSeen = false
  // On a busy machine all three may get their answer before the metrics are read. So they ask again.
  const held = Array.from({ length: 3 }, async () => {
    while (!isSeen) await getRevocations(service.api, { after: feed.cursor as string, wait: 1000 })
  })
  await eventually(async () => (await waiting()) === 3)
  isSeen = true
  await service.api.logout(tokens.access_token)
  await Promise.all(held)
  t.equal(await waiting(), 0)
})
