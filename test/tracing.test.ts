import { createServer } from 'node:http'
import { type Test, test } from 'tap'
import { listen, listener } from './support/key-server.js'
import { PASSWORD, redisOf, startService, stores } from './support/service.js'
import { resultOrLate } from './support/verifier-setup.js'

interface Span {
  name: string
  kind: number
  traceId: string
  spanId: string
  parentSpanId?: string
  attributes: Record<string, unknown>
  error: boolean
}

/** A trace collector: OTLP over HTTP, in JSON. */
async function startCollector(t: Test) {
  const spans: Span[] = []
  const bodies: string[] = []
  const resources: Record<string, unknown>[] = []
  const answer = listener(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    if (request.method !== 'POST' || request.url !== '/v1/traces') return void response.writeHead(404).end()
    bodies.push(body)
    for (const { resource, scopeSpans } of JSON.parse(body).resourceSpans) {
      resources.push(flat(resource.attributes))
      for (const span of scopeSpans.flatMap((scope: { spans: unknown[] }) => scope.spans)) {
        spans.push({ ...span, attributes: flat(span.attributes), error: span.status?.code === 2 })
      }
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  return { url: `http://127.0.0.1:${await listen(t, createServer(answer))}`, spans, bodies, resources }
}

const flat = (attributes: { key: string; value: Record<string, unknown> }[] = []) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

for (const store of stores) {
  test(`${store}: a request is a span in the trace of its caller, and its waits are child spans`, async (t) => {
    const collector = await startCollector(t)
    const service = await startService(t, store, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })
    const { api } = service
    await api.signUp('ada', PASSWORD)
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
    const parent = '00f067aa0ba902b7'

    const answer = await api.call('/login', {
      json: { username: 'ada', password: PASSWORD },
      headers: { traceparent: `00-${traceId}-${parent}-01`, 'x-request-id': 'asked-7' },
    })
    t.equal(answer.status, 200)
    // The close of the service exports the remaining spans.
    await service.close()

    t.match(collector.resources[0], { 'service.name': 'latchkey' })
    const ours = collector.spans.filter((span) => span.traceId === traceId)
    const [login] = ours.filter(({ name }) => name === 'POST /login')
    t.match(login, {
      kind: 2,
      parentSpanId: parent,
      attributes: {
        'http.route': '/login',
        'http.request.method': 'POST',
        'http.response.status_code': 200,
        'latchkey.request_id': 'asked-7',
      },
    })
    const below = ours.filter(({ parentSpanId }) => parentSpanId === login?.spanId).map(({ name }) => name)
    for (const name of ['password.hash', 'database.query', 'sessions.create']) t.ok(below.includes(name), name)
    const create = ours.find(({ name }) => name === 'sessions.create')
    const inside = ours.filter(({ parentSpanId }) => parentSpanId === create?.spanId).map(({ name }) => name)
    t.equal(inside.includes('database.query'), store !== 'redis', 'where sessions are in the database, its queries')
  })
}

test('a request without a trace begins one; a refused request has a span, and a failed request marks its span as an error', async (t) => {
  const collector = await startCollector(t)
  const redis = await redisOf(t)
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, REDIS_URL: redis.url }
  const service = await startService(t, 'sqlite', env)
  const { api, once } = service
  await api.signUp('ada', PASSWORD)
  const { access_token: token } = await api.tokens('ada', PASSWORD)
  await api.call('/nowhere')
  await redis.stop()
  t.equal((await once.introspect(token)).status, 503)
  await service.close()

  const named = (name: string) => collector.spans.find((span) => span.name === name)
  t.match(named('GET none'), { error: false, attributes: { 'http.response.status_code': 404 } })
  t.match(named('POST /introspect'), { error: true, attributes: { 'http.response.status_code': 503 } })
  t.match(named('sessions.findUsername'), { error: true, parentSpanId: named('POST /introspect')?.spanId as string })
  t.notOk(named('POST /login')?.parentSpanId, 'it is the first of its trace')
  t.match(named('POST /login')?.traceId, /^[0-9a-f]{32}$/)
})

test('C1: no span contains a name, a password, a token, a session or an address', async (t) => {
  const collector = await startCollector(t)
  const service = await startService(t, 'sqlite', { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })
  const { api } = service
  await api.signUp('Zq7canary', PASSWORD)
  const { access_token: token, refresh_token: refresh, sid } = await api.tokens('Zq7canary', PASSWORD)
  await api.introspect(token)
  await api.refresh(refresh)
  await api.call(`/sessions/${sid}?x=Zq7canary`, { method: 'DELETE', bearer: token })
  await service.close()
  const sent = collector.bodies.join('\n')
  t.match(sent, 'DELETE /sessions/:sid')
  for (const secret of ['Zq7canary', PASSWORD, token, refresh, sid, '127.0.0.1']) {
    t.notOk(sent.includes(secret), `${secret.slice(0, 20)} is not in what was sent`)
  }
})

test('a collector that is down delays neither a request nor the shutdown', async (t) => {
  const service = await startService(t, 'sqlite', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' })
  t.equal((await service.api.signUp('ada', PASSWORD)).status, 201)
  t.not(await resultOrLate(service.close(), 4000), 'late')
})
