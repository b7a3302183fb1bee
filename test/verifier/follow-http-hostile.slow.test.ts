import type { ServerResponse } from 'node:http'
import { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { startFeedServer, startFollower } from '../support/feed-server.js'
import { isAll } from '../support/size.js'
import { untilVerifierReady, verdict } from '../support/verifier-setup.js'

const ANSWER = { feed: 'f', epoch: 1, cursor: 'c', more: false, read_after_ms: 0, revocations: [] as unknown[] }

/** Each is an answer to every request for the feed. None of them proves anything. */
const HOSTILE: Record<string, (response: ServerResponse) => void> = {
  'no JSON': (response) => response.end('<html>'),
  'an empty body': (response) => response.end(),
  null: (response) => response.end('null'),
  'a list': (response) => response.end('[]'),
  'status 500 with a good body': (response) => response.writeHead(500).end(JSON.stringify(ANSWER)),
  'a redirect': (response) => response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(),
  'no feed': (response) => response.end(JSON.stringify({ ...ANSWER, feed: undefined })),
  'an empty feed': (response) => response.end(JSON.stringify({ ...ANSWER, feed: '' })),
  'a feed of 1 KB': (response) => response.end(JSON.stringify({ ...ANSWER, feed: 'f'.repeat(1024) })),
  'a cursor of 1 KB': (response) => response.end(JSON.stringify({ ...ANSWER, cursor: 'c'.repeat(1024) })),
  'a number as cursor': (response) => response.end(JSON.stringify({ ...ANSWER, cursor: 1 })),
  'more in words': (response) => response.end(JSON.stringify({ ...ANSWER, more: 'false' })),
  'no more': (response) => response.end(JSON.stringify({ ...ANSWER, more: undefined })),
  'an epoch in words': (response) => response.end(JSON.stringify({ ...ANSWER, epoch: '1' })),
  'an epoch below 0': (response) => response.end(JSON.stringify({ ...ANSWER, epoch: -1 })),
  'no epoch': (response) => response.end(JSON.stringify({ ...ANSWER, epoch: null })),
  'read_after_ms in words': (response) => response.end(JSON.stringify({ ...ANSWER, read_after_ms: '0' })),
  'read_after_ms below 0': (response) => response.end(JSON.stringify({ ...ANSWER, read_after_ms: -1 })),
  'no read_after_ms': (response) => response.end(JSON.stringify({ ...ANSWER, read_after_ms: undefined })),
  'revocations as an object': (response) => response.end(JSON.stringify({ ...ANSWER, revocations: {} })),
  '1,001 entries': (response) =>
    response.end(JSON.stringify({ ...ANSWER, revocations: Array.from({ length: 1001 }, () => ({ sids: ['a'] })) })),
  'more, with a cursor that stands still': (response) => response.end(JSON.stringify({ ...ANSWER, more: true })),
  'an answer of a cache': (response) => response.writeHead(200, { age: '7' }).end(JSON.stringify(ANSWER)),
  'an answer of an hour ago': (response) =>
    response.writeHead(200, { date: new Date(Date.now() - 3_600_000).toUTCString() }).end(JSON.stringify(ANSWER)),
  '5 MB': (response) => response.end(`${JSON.stringify(ANSWER)}${' '.repeat(5 * 1024 * 1024)}`),
  'a body without end': (response) => {
    const timer = setInterval(() => response.write(' '.repeat(64 * 1024)), 1)
    response.on('close', () => clearInterval(timer))
  },
  'a body that stops': (response) => void response.writeHead(200, { 'content-length': 100 }).write('{'),
}

for (const [what, answer] of Object.entries(HOSTILE)) {
  test(`S7: ${what}: each token is introspected, and memory stays small`, async (t) => {
    const server = await startFeedServer(t)
    server.intercept((_request, response) => answer(response))
    const verifier = startFollower(t, server)
    const [{ token }, revoked] = [server.issue(), server.issue()]
    server.revoke(revoked.sid)
    await eventually(() => server.polls > 2)
    for (let i = 0; i < 20; i++) {
      const before = server.introspections
      t.equal(await verdict(verifier, token), 'good')
      t.equal(server.introspections, before + 1)
    }
    t.equal(await verdict(verifier, revoked.token), 'revoked')
    // The follower recovers alone.
    server.intercept()
    await eventually(async () => {
      const before = server.introspections
      return (await verdict(verifier, token)) === 'good' && server.introspections === before
    })
  })
}

test('S7: an entry of an unknown form may concern every token from before it: those are introspected', async (t) => {
  const entries: unknown[] = [
    {},
    null,
    'sids',
    { sids: 'a' },
    { sids: [1] },
    { sids: [''] },
    { sids: ['a b'] },
    { sids: ['x'.repeat(1000)] },
    { client_id: 'billing' },
    { client_id: 'billing', issued_until: '1' },
    { client_id: 'billing', issued_until: 1.5 },
    { sub: 'ada', issued_until: 1 },
  ]
  for (const entry of entries) {
    const server = await startFeedServer(t)
    const verifier = startFollower(t, server, { maxStaleness: 10_000 })
    await untilVerifierReady(verifier)
    const { token } = server.issue()
    t.equal(await verdict(verifier, token), 'good')
    t.equal(server.introspections, 0)
    server.intercept((_request, response) =>
      response.end(
        JSON.stringify({ ...ANSWER, feed: 'first', cursor: `first-${Math.random()}`, revocations: [entry] }),
      ),
    )
    await eventually(() => verifier.malformedFeedEntries > 0)
    server.intercept()
    t.equal(await verdict(verifier, token), 'good')
    t.equal(server.introspections, 1, JSON.stringify(entry))
    await verifier.close()
  }
})

test('S7: a feed without end is followed in bounded memory', async (t) => {
  const server = await startFeedServer(t)
  const rounds = isAll ? 3000 : 300
  let page = 0
  server.intercept((_request, response) => {
    page += 1
    const revocations = Array.from({ length: 1000 }, (_each, i) => ({ sids: [`${'s'.repeat(12)}${page * 1000 + i}`] }))
    response.end(JSON.stringify({ ...ANSWER, cursor: String(page), more: true, revocations }))
  })
  const before = process.memoryUsage().rss
  const verifier = startFollower(t, server)
  await eventually(() => page > rounds, 120_000)
  const grown = (process.memoryUsage().rss - before) / 1024 / 1024
  t.ok(grown < 700, `${grown} MB after ${page},000 revocations`)
  const { token } = server.issue()
  t.equal(await verdict(verifier, token), 'good')
  t.equal(server.introspections, 1, 'a feed that has not ended proves nothing')
})
