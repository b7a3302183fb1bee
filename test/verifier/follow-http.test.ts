import { setTimeout as sleep } from 'node:timers/promises'
import { createVerifier, type Verifier } from '@latchkey/verifier'
import t, { test } from 'tap'
import { bentClock, CLOCK_JUMPS } from '../support/bent-clock.js'
import { countAcceptedLate, eventually } from '../support/eventually.js'
import { type FeedServer, startFeedServer, startFollower } from '../support/feed-server.js'
import { freePort } from '../support/servers/ports.js'
import { startTcpProxy } from '../support/servers/tcp-proxy.js'
import { CLIENT, JWT_SECRET } from '../support/service.js'
import { isAll } from '../support/size.js'
import { untilVerifierReady, verdict, verdictOnce } from '../support/verifier-setup.js'

// The tests wait for staleness and timeouts, so they run side by side.
t.jobs = 4

/** Polls until the token is accepted from memory. */
function untilFresh(server: FeedServer, verifier: Verifier, token: string): Promise<number> {
  return eventually(async () => {
    const before = server.introspections
    return (await verdict(verifier, token)) === 'good' && server.introspections === before
  })
}

test('a fresh follower over HTTP asks nobody, and polls four times a second', { buffered: true }, async (t) => {
  const server = await startFeedServer(t)
  const verifier = startFollower(t, server, { maxStaleness: 10_000 })
  await untilVerifierReady(verifier)
  const { token } = server.issue()
  const [polls, began] = [server.polls, performance.now()]
  let seconds = 0
  // However busy the machine is, the follower goes on to poll.
  await eventually(async () => {
    for (let i = 0; i < 10; i++) await verifier.verify(token)
    seconds = (performance.now() - began) / 1000
    return seconds >= 1 && server.polls - polls >= 3
  })
  t.equal(server.introspections, 0)
  t.ok(server.polls - polls <= 4 * seconds + 2, `${server.polls - polls} polls`)
})

test('ten followers over HTTP learn of a revocation at once, one that starts later too, and none asks', {
  buffered: true,
}, async (t) => {
  const server = await startFeedServer(t)
  const followers = Array.from({ length: 10 }, () => startFollower(t, server, { maxStaleness: 10_000 }))
  await Promise.all(followers.map(untilVerifierReady))
  const [{ token, sid }, other] = [server.issue(), server.issue()]
  for (const one of followers) t.equal(await verdict(one, token), 'good')

  server.revoke(sid)
  const all = async () => {
    const verdicts = await Promise.all(followers.map((one) => verdict(one, token)))
    return verdicts.every((answer) => answer === 'revoked')
  }
  await eventually(all)
  const late = startFollower(t, server, { maxStaleness: 10_000 })
  await untilVerifierReady(late)
  t.equal(await verdict(late, token), 'revoked')
  t.equal(await verdict(late, other.token), 'good')
  t.equal(server.introspections, 0)
})

test('the tokens that a client got for itself end up to the second of the revocation', {
  buffered: true,
}, async (t) => {
  const server = await startFeedServer(t)
  const verifier = startFollower(t, server)
  await untilVerifierReady(verifier)
  const now = Math.floor(Date.now() / 1000)
  const client = { sub: 'billing', client_id: 'billing', sid: undefined }
  const before = server.issue({ ...client, iat: now - 1 })
  t.equal(await verdict(verifier, before.token), 'good')
  server.revokeClient('billing')
  const after = server.issue({ ...client, iat: Math.floor(Date.now() / 1000) + 2 })
  await eventually(async () => (await verdict(verifier, before.token)) === 'revoked')
  t.equal(await verdict(verifier, after.token), 'good')
})

test('more than 1,000 revocations come in pages, and the follower is ready only after the last', {
  buffered: true,
}, async (t) => {
  const server = await startFeedServer(t)
  const sessions = Array.from({ length: 2500 }, () => server.issue())
  for (const { sid } of sessions) server.revoke(sid)
  const verifier = startFollower(t, server, { maxStaleness: 10_000 })
  await untilVerifierReady(verifier)
  t.ok(server.polls >= 3)
  for (const { token } of sessions) if ((await verdict(verifier, token)) !== 'revoked') t.fail('one was missed')
  t.equal(server.introspections, 0)
})

test('a token from before the epoch is introspected', { buffered: true }, async (t) => {
  const server = await startFeedServer(t, 5)
  const verifier = startFollower(t, server)
  await untilVerifierReady(verifier)
  const { token, sid } = server.issue()
  t.equal(await verdict(verifier, token), 'good')
  t.equal(server.introspections, 1)
  server.revoke(sid)
  await eventually(async () => (await verdict(verifier, token)) === 'revoked')
})

test('S4: the history is another one, or older than what is kept: the feed is read again from its start', {
  buffered: true,
}, async (t) => {
  for (const [what, lose] of Object.entries<(server: FeedServer) => void>({
    'the store was emptied': (server) => server.restart(Math.floor(Date.now() / 1000)),
    'a copy of the database was restored': (server) => server.restart(),
    'the cursor is older than what is kept': (server) => server.trim(),
  })) {
    const server = await startFeedServer(t)
    const verifier = startFollower(t, server)
    await untilVerifierReady(verifier)
    const [known, lost] = [server.issue(), server.issue()]
    server.revoke(known.sid)
    await eventually(async () => (await verdict(verifier, known.token)) === 'revoked')

    const polls = server.polls
    lose(server)
    server.revoke(lost.sid)
    await eventually(() => server.polls > polls + 2)
    await eventually(async () => (await verdict(verifier, lost.token)) === 'revoked')
    for (let i = 0; i < 50; i++) {
      if ((await verdict(verifier, known.token)) !== 'revoked') t.fail(`${what}: a known revocation was forgotten`)
      await sleep(2)
    }
    t.equal(await verdict(verifier, server.issue().token), 'good', what)
    await verifier.close()
  }
})

test('S4: an answer of another history that begins in its middle: the feed is read from its start', {
  buffered: true,
}, async (t) => {
  const server = await startFeedServer(t)
  const verifier = startFollower(t, server)
  await untilVerifierReady(verifier)
  const { token, sid } = server.issue()
  t.equal(await verdict(verifier, token), 'good')
  let isFirst = true
  server.intercept((request, response) => {
    const body = { epoch: 1, cursor: 'other-1', more: false, read_after_ms: 0, feed: 'other' }
    const isStart = !request.url?.includes('after=')
    response.end(JSON.stringify({ ...body, revocations: isStart ? [{ sids: [sid] }] : [] }))
    isFirst = false
  })
  await eventually(() => !isFirst)
  // The server itself knows nothing of this revocation: the answer is from memory.
  await eventually(async () => (await verdict(verifier, token)) === 'revoked')
})

test('S3: answers that come later than maxStaleness prove nothing; answers that come a little late do', {
  buffered: true,
}, async (t) => {
  const server = await startFeedServer(t)
  const wire = await startTcpProxy(server.port)
  t.teardown(() => wire.stop())
  const { token } = server.issue()
  const verifier = startFollower(t, server, { feedUrl: `http://127.0.0.1:${wire.port}`, maxStaleness: 300 })
  wire.delay(isAll ? 5000 : 400)
  for (const deadline = Date.now() + (isAll ? 12_000 : 2000); Date.now() < deadline; await sleep(5)) {
    const before = server.introspections
    await verifier.verify(token)
    if (server.introspections === before) t.fail('a late answer counted as news')
  }
  wire.delay(20)
  await untilFresh(server, verifier, token)
})

test('S3: an answer that is cut anywhere is read again, and no revocation is missed', { buffered: true }, async (t) => {
  const server = await startFeedServer(t)
  const wire = await startTcpProxy(server.port)
  t.teardown(() => wire.stop())
  const verifier = startFollower(t, server, { feedUrl: `http://127.0.0.1:${wire.port}` })
  await untilVerifierReady(verifier)
  const other = server.issue()
  for (let bytes = 0; bytes < 600; bytes += isAll ? 7 : 60) {
    const { token, sid } = server.issue()
    wire.cutAfter(bytes)
    server.revoke(sid)
    const polls = server.polls
    await eventually(() => server.polls > polls)
    wire.restore()
    await eventually(async () => {
      const before = server.introspections
      return (await verdict(verifier, token)) === 'revoked' && server.introspections === before
    })
    await untilFresh(server, verifier, other.token)
  }
})

test('S3: a cache between follower and service cannot pass an old answer off as news', {
  buffered: true,
}, async (t) => {
  const caches: Record<string, { key: (url: string) => string; age: boolean }> = {
    'it ignores no-store': { key: (url) => url, age: false },
    'it ignores the query too, and says so in Age': { key: (url) => url.split('?')[0] ?? '', age: true },
  }
  for (const [what, { key, age }] of Object.entries(caches)) {
    const server = await startFeedServer(t)
    const kept = new Map<string, { body: string; date: string; at: number }>()
    const front = await startFeedServer(t)
    front.intercept(async (request, response) => {
      const url = request.url ?? ''
      let answer = kept.get(key(url))
      if (!answer) {
        const fresh = await fetch(server.url + url, {
          headers: { authorization: request.headers.authorization ?? '' },
        })
        answer = { body: await fresh.text(), date: fresh.headers.get('date') ?? '', at: Date.now() }
        kept.set(key(url), answer)
      }
      const seconds = Math.ceil((Date.now() - answer.at) / 1000)
      response.writeHead(200, { date: answer.date, ...(age && { age: String(seconds) }) })
      response.end(answer.body)
    })
    const verifier = startFollower(t, server, { feedUrl: front.url })
    const { token, sid } = server.issue()
    // The first answer is in the cache, and the follower has seen what the cache does with the next ones.
    await eventually(() => front.polls > 4)
    t.equal(await verdict(verifier, token), 'good')
    server.revoke(sid)
    const revoked = performance.now()
    let acceptedAt = 0
    while (performance.now() < revoked + 2500) {
      const asked = performance.now()
      if ((await verdict(verifier, token)) === 'good') acceptedAt = asked
      await sleep(5)
    }
    t.ok(acceptedAt < revoked + 1000, `${what}: accepted ${acceptedAt - revoked} ms after the revocation`)
    await verifier.close()
  }
})

test('S5: suspended, or with a wall clock that was set: nothing is accepted from memory before a new proof', {
  buffered: true,
}, async (t) => {
  for (const [what, bend] of Object.entries(CLOCK_JUMPS)) {
    const server = await startFeedServer(t)
    const clock = bentClock()
    const verifier = startFollower(t, server, { clock })
    await untilVerifierReady(verifier)
    const now = Math.floor(Date.now() / 1000)
    const { token } = server.issue({ iat: now - 600, exp: now + 23 * 3600 })
    await untilFresh(server, verifier, token)
    const before = server.introspections

    // From here on no answer comes.
    server.intercept(() => {})
    bend(clock)
    const answer = await verdict(verifier, token)
    t.ok(answer === 'not_yet_valid' || server.introspections === before + 1, `${what}: ${answer} without asking`)
    await verifier.close()
  }
})

test('S5: while the clocks of service and verifier differ by an hour, each token is introspected', {
  buffered: true,
}, async (t) => {
  const differ = async (minutes: number) => {
    const server = await startFeedServer(t)
    const clock = bentClock()
    const verifier = startFollower(t, server, { clock })
    await untilVerifierReady(verifier)
    clock.setWall(minutes * 60_000)
    const now = Math.floor(clock.wall() / 1000)
    const { token, sid } = server.issue({ iat: now - 60, exp: now + 8 * 3600 })
    await eventually(async () => {
      const before = server.introspections
      return (await verdict(verifier, token)) === 'good' && server.introspections > before
    })
    server.revoke(sid)
    t.equal(await verdict(verifier, token), 'revoked')
    const late = startFollower(t, server, { clock })
    await t.rejects(late.ready(), { message: /clock of the service is/ })
    await verifier.close()
  }
  await Promise.all([-60, 60].map(differ))
})

test('S5: a revocation of an instance whose clock is behind is not forgotten by the date of another instance', {
  buffered: true,
}, async (t) => {
  const server = await startFeedServer(t)
  const verifier = startFollower(t, server, { maxStaleness: 10_000 })
  await untilVerifierReady(verifier)
  const { token, sid } = server.issue()
  // From now on the verifier asks the service no more about the signature of this token.
  await untilFresh(server, verifier, token)
  server.clockError = -60 * 60_000
  server.revoke(sid)
  const polled = async () => {
    const before = server.polls
    await eventually(() => server.polls >= before + 2)
  }
  await polled()

  server.clockError = 0
  await polled()
  await untilFresh(server, verifier, server.issue().token)
  t.equal(await verdict(verifier, token), 'revoked')
})

test('F31: the service is gone: what is known to be revoked stays so, and nothing else is accepted', {
  buffered: true,
}, async (t) => {
  const server = await startFeedServer(t)
  const wire = await startTcpProxy(server.port)
  t.teardown(() => wire.stop())
  const url = `http://127.0.0.1:${wire.port}`
  const verifier = createVerifier({
    issuer: server.url,
    audience: 'todo',
    keys: { secrets: [JWT_SECRET] },
    revocation: { mode: 'follow', endpoint: `${url}/revocations`, clientId: CLIENT.id, clientSecret: CLIENT.secret },
  })
  t.teardown(() => verifier.close())
  await untilVerifierReady(verifier)
  const [known, other] = [server.issue(), server.issue()]
  server.revoke(known.sid)
  await eventually(async () => (await verdict(verifier, known.token)) === 'revoked')

  wire.cut()
  t.equal(await countAcceptedLate(async () => (await verdictOnce(verifier, other.token)) === 'unavailable'), 0)
  for (let i = 0; i < 100; i++) {
    t.equal(await verdictOnce(verifier, known.token), 'revoked')
    t.equal(await verdictOnce(verifier, other.token), 'unavailable')
  }
  wire.restore()
  await eventually(async () => (await verdict(verifier, other.token)) === 'good')
})

test('wrong credentials, no feed at the address, or no server: ready says which', { buffered: true }, async (t) => {
  const server = await startFeedServer(t)
  const rules = { issuer: server.url, audience: 'todo', keys: { secrets: [JWT_SECRET] } }
  const good = {
    mode: 'follow',
    endpoint: `${server.url}/revocations`,
    clientId: CLIENT.id,
    clientSecret: CLIENT.secret,
  } as const
  const reasons: [object, RegExp][] = [
    [{ clientSecret: 'wrong' }, /answered 401/],
    [{ endpoint: `${server.url}/revocation` }, /answered 404/],
    [{ endpoint: `http://127.0.0.1:${await freePort()}/revocations` }, /ECONNREFUSED/],
  ]
  await Promise.all(
    reasons.map(async ([change, message]) => {
      const verifier = createVerifier({ ...rules, revocation: { ...good, ...change } })
      t.teardown(() => verifier.close())
      await t.rejects(verifier.ready(), { message })
    }),
  )
})

test('a follower that is closed vouches for nothing any more, and ends its requests', { buffered: true }, async (t) => {
  const server = await startFeedServer(t)
  const { token } = server.issue()
  for (let round = 0; round < 20; round++) {
    const verifier = startFollower(t, server)
    await untilVerifierReady(verifier)
    await verifier.close()
    const before = server.introspections
    await verdict(verifier, token)
    t.equal(server.introspections, before + 1)
  }

  const verifier = startFollower(t, server)
  await untilVerifierReady(verifier)
  let isEnded = false
  server.intercept((_request, response) => response.on('close', () => (isEnded = true)))
  const { polls } = server
  await eventually(() => server.polls > polls)
  await verifier.close()
  await eventually(() => isEnded)
})
