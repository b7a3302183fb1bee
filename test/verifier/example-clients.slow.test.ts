import { createHmac, hkdfSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { test } from 'tap'
import { claimsOf } from '../support/decode.js'
import { countAcceptedLate, eventually } from '../support/eventually.js'
import { exampleCommand, languages, startExampleClient } from '../support/example-clients.js'
import { type FeedServer, startFeedServer } from '../support/feed-server.js'
import { base64url } from '../support/hostile/forger.js'
import { jwkSet, keyFileSettings, makeKey, writeKeyFile } from '../support/keys.js'
import { startTcpProxy, type TcpProxy } from '../support/servers/tcp-proxy.js'
import { CLIENT, ISSUER, JWT_SECRET, PASSWORD, startService } from '../support/service.js'
import { isAll } from '../support/size.js'

const MAX_STALENESS = 1000
const ROUNDS = isAll ? 5 : 1

// The tests wait for faults to pass, so they run side by side.
t.jobs = 8

/** What may happen between a client and the service, and how it ends. */
const faults: Record<string, (wire: TcpProxy, server: FeedServer) => { begin(): void; end(): void }> = {
  killed: (wire) => ({ begin: wire.cut, end: wire.restore }),
  stalled: (wire) => ({ begin: wire.blackhole, end: () => reconnect(wire) }),
  'held back': (wire) => ({ begin: wire.hold, end: wire.release }),
  'late by 5 s': (wire) => ({ begin: () => wire.delay(5000), end: () => reconnect(wire) }),
  'without its history': (_, server) => ({ begin: () => server.restart(), end: () => {} }),
  'older than its history': (_, server) => ({ begin: () => server.trim(), end: () => {} }),
  'answering 503': (_, server) => ({
    begin: () => server.intercept((_, response) => response.writeHead(503).end()),
    end: () => server.intercept(),
  }),
  'answering nonsense': (_, server) => ({
    begin: () => server.intercept((_, response) => response.end('[{}]')),
    end: () => server.intercept(),
  }),
}

function reconnect(wire: TcpProxy): void {
  wire.delay(0)
  wire.cut()
  wire.restore()
}

for (const language of languages) {
  // The longest test comes first.
  test(`S5: ${language}: a client that was stopped accepts nothing from before`, { buffered: true }, async (t) => {
    const server = await startFeedServer(t)
    const wire = await startTcpProxy(server.port)
    t.teardown(() => wire.stop())
    const env = { LATCHKEY_URL: `http://127.0.0.1:${wire.port}`, ISSUER: server.url, AUDIENCE: 'todo', JWT_SECRET }
    const client = await startExampleClient(t, await exampleCommand(language, 'follow'), env)
    for (let round = 0; round < ROUNDS; round += 1) {
      const { token, sid } = server.issue()
      await eventually(async () => (await client.verdict(token)) === 'good')
      client.pause()
      // An answer of now waits in the socket of the client. The revocation comes after it.
      await sleep(300)
      wire.hold()
      server.revoke(sid)
      // The first stop is the longest. The others show that another round is like it.
      await sleep(isAll && round === 0 ? 10_000 : 1300)
      const verdict = client.verdict(token)
      client.resume()
      await sleep(100)
      wire.release()
      t.equal(await verdict, 'refused', `round ${round}`)
    }
  })

  for (const keys of ['HS256', 'HS256 without the secret', 'the key of an audience', 'ES256'] as const) {
    test(`${language}: with ${keys}, the client accepts the live tokens of the service and no others`, {
      buffered: true,
    }, async (t) => {
      const settings =
        keys === 'ES256'
          ? keyFileSettings(writeKeyFile(t, await makeKey('ES256')))
          : keys === 'the key of an audience'
            ? { JWT_SECRET_MODE: 'audience' }
            : {}
      const { api } = await startService(t, 'sqlite', { AUDIENCE: 'todo,bills', ...settings })
      const url = `http://127.0.0.1:${new URL(api.url).port}`
      const ofAudience = Buffer.from(hkdfSync('sha256', JWT_SECRET, '', 'latchkey access token\0todo', 32))
      const secrets = { HS256: JWT_SECRET, 'the key of an audience': ofAudience.toString('base64url') }
      const secret = secrets[keys as keyof typeof secrets]
      const env = { LATCHKEY_URL: url, ISSUER, AUDIENCE: 'todo', ...(secret && { JWT_SECRET: secret }) }
      const client = await startExampleClient(t, await exampleCommand(language, 'follow'), env)

      await api.signUp('ada', PASSWORD)
      const [one, other] = [await api.tokens('ada', PASSWORD), await api.tokens('ada', PASSWORD)]
      const form = { grant_type: 'client_credentials', client_id: CLIENT.id, client_secret: CLIENT.secret }
      const own = (await api.call('/token', { form: { ...form, audience: 'todo' } })).body.access_token
      const answer = await client.answer(one.access_token)
      t.match(answer, /^good \{/)
      t.match(JSON.parse(answer.slice('good '.length)), { aud: 'todo', iss: ISSUER })
      t.equal(await client.verdict(other.access_token), 'good')
      t.equal(await client.verdict(own), 'good', 'a token that a client got for itself')
      const elsewhere = await api.tokens('ada', PASSWORD, { audience: 'bills' })
      t.equal(await client.verdict(elsewhere.access_token), 'refused', 'another audience')

      const [header = '', claims = '', signature = ''] = one.access_token.split('.')
      const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString())
      const mac = (input: string, key: string) => createHmac('sha256', key).update(input).digest('base64url')
      const signedWith = (head: object, key: string) =>
        `${base64url(head)}.${claims}.${mac(`${base64url(head)}.${claims}`, key)}`
      const published = JSON.stringify((await api.call('/.well-known/jwks.json')).body.keys[0] ?? {})
      const typ = 'at+jwt'
      const hostile: Record<string, string> = {
        'A1: forged': `${header}.${claims}.${'A'.repeat(signature.length)}`,
        'of no algorithm': `${base64url({ alg: 'none', typ, kid })}.${claims}.${signature}`,
        'of the public key as a secret': signedWith({ alg: 'HS256', typ, kid }, published),
        'of another algorithm': `${base64url({ alg: 'ES256', typ, kid: 'x' })}.${claims}.${signature}`,
        'of an unknown key': `${base64url({ alg: 'HS256', typ, kid: 'x' })}.${claims}.${signature}`,
        'of another type': `${base64url({ alg: 'HS256', typ: 'JWT', kid })}.${claims}.${signature}`,
        'with a key in its header': signedWith({ alg: 'HS256', typ, kid, jwk: { kty: 'oct', k: 'eA' } }, 'x'),
        'without a signature': `${header}.${claims}.`,
        'of another spelling': `${one.access_token}=`,
        'of two claims sets': `${one.access_token}.${claims}`,
        'a refresh token': one.refresh_token,
        'too long': `${header}.${'A'.repeat(9000)}.${signature}`,
        nothing: '',
      }
      for (const [name, token] of Object.entries(hostile)) {
        // Without the secret, the service is asked about the signature of HS256. Without public keys, no other can be checked.
        t.equal(await client.verdict(token), 'refused', name)
      }

      await api.logout(one.access_token)
      const isRefused = async () => (await client.verdict(one.access_token)) !== 'good'
      t.equal(await countAcceptedLate(isRefused, MAX_STALENESS), 0)
      await eventually(async () => (await client.verdict(one.access_token)) === 'refused')
      t.equal(await client.verdict(other.access_token), 'good')
      await api.call('/revoke', { form: { token: own } })
      await eventually(async () => (await client.verdict(own)) === 'refused')
    })
  }

  test(`${language}: the client takes the claims only in the one form that the service writes`, {
    buffered: true,
  }, async (t) => {
    const server = await startFeedServer(t)
    const env = { LATCHKEY_URL: server.url, AUDIENCE: 'todo', JWT_SECRET }
    const client = await startExampleClient(t, await exampleCommand(language, 'follow'), env)
    const { token } = server.issue()
    t.equal(await client.verdict(token), 'good')
    const claims = claimsOf(token) as Record<string, unknown>
    const sign = (text: string) => {
      const input = `${token.split('.')[0]}.${Buffer.from(text).toString('base64url')}`
      return `${input}.${createHmac('sha256', JWT_SECRET).update(input).digest('base64url')}`
    }
    const { sub, ...withoutSub } = claims
    const now = Math.floor(Date.now() / 1000)
    const wrong = {
      'aud twice': JSON.stringify(claims).replace('{', '{"aud":"todo",'),
      'a name in capitals': JSON.stringify({ ...withoutSub, SUB: sub }),
      'aud as a list': JSON.stringify({ ...claims, aud: ['todo'] }),
      'exp as text': JSON.stringify({ ...claims, exp: String(claims.exp) }),
      'exp with a fraction': JSON.stringify(claims).replace(`"exp":${claims.exp}`, `"exp":${claims.exp}.5`),
      'exp in the past': JSON.stringify({ ...claims, iat: now - 100, exp: now - 1 }),
      'iat in the future': JSON.stringify({ ...claims, iat: now + 60 }),
      'nbf in the future': JSON.stringify({ ...claims, nbf: now + 60 }),
      'a life of two days': JSON.stringify({ ...claims, exp: now + 2 * 86_400 }),
      'no session': JSON.stringify({ ...claims, sid: undefined }),
      'a session that is null': JSON.stringify({ ...claims, sid: null }),
      'a subject with a line break': JSON.stringify({ ...claims, sub: 'a\nb' }),
      'deep nesting': `${'['.repeat(3000)}${']'.repeat(3000)}`,
      'two objects': `${JSON.stringify(claims)}{}`,
      'no object': 'null',
    }
    for (const [name, text] of Object.entries(wrong)) t.equal(await client.verdict(sign(text)), 'refused', name)
  })

  test(`${language}: the client finds a new key of the service, and invented keys cause few fetches`, {
    buffered: true,
  }, async (t) => {
    const [first, second] = [await makeKey('ES256'), await makeKey('ES256')]
    const path = writeKeyFile(t, first)
    const { api, log } = await startService(t, 'sqlite', { AUDIENCE: 'todo', ...keyFileSettings(path) })
    const fetches = () => log.filter(({ route }) => route === '/.well-known/jwks.json').length
    const env = { LATCHKEY_URL: api.url, ISSUER, AUDIENCE: 'todo' }
    const client = await startExampleClient(t, await exampleCommand(language, 'follow'), env)
    await api.signUp('ada', PASSWORD)
    t.equal(await client.verdict((await api.tokens('ada', PASSWORD)).access_token), 'good')

    writeFileSync(path, jwkSet(second, first))
    await eventually(async () => (await api.call('/.well-known/jwks.json')).body.keys.length === 2)
    t.equal(await client.verdict((await api.tokens('ada', PASSWORD)).access_token), 'good')
    const [, claims, signature] = (await api.tokens('ada', PASSWORD)).access_token.split('.')
    const [before, began] = [fetches(), performance.now()]
    for (let i = 0; i < 300; i += 1) {
      const header = base64url({ alg: 'ES256', typ: 'at+jwt', kid: `invented-${i}` })
      t.equal(await client.verdict(`${header}.${claims}.${signature}`), 'refused')
    }
    const allowed = 1 + (performance.now() - began) / 10_000
    t.ok(fetches() - before <= allowed, `${fetches() - before} fetches: one in 10 s at most`)
  })

  for (const [name, fault] of Object.entries(faults)) {
    test(`S5: ${language}: 0 tokens are accepted later than a second after their end, with a service that is ${name}`, {
      buffered: true,
    }, async (t) => {
      const server = await startFeedServer(t)
      const wire = await startTcpProxy(server.port)
      t.teardown(() => wire.stop())
      const env = { LATCHKEY_URL: `http://127.0.0.1:${wire.port}`, ISSUER: server.url, AUDIENCE: 'todo', JWT_SECRET }
      const client = await startExampleClient(t, await exampleCommand(language, 'follow'), env)
      const { begin, end } = fault(wire, server)
      let asked = 0
      for (let round = 0; round < ROUNDS; round += 1) {
        const { token, sid } = server.issue()
        await eventually(async () => {
          const before = server.introspections
          return (await client.verdict(token)) === 'good' && server.introspections === before
        })
        begin()
        server.revoke(sid)
        const ended = performance.now()
        let late = 0
        while (performance.now() - ended < 2 * MAX_STALENESS) {
          const sent = performance.now()
          const verdict = await client.verdict(token)
          asked += 1
          if (verdict === 'good' && sent - ended > MAX_STALENESS) late += 1
          // Leaves the machine to the tests beside this one.
          await sleep(10)
        }
        t.equal(late, 0, `round ${round}`)
        end()
        await eventually(async () => (await client.verdict(token)) === 'refused')
        // It recovers. Its first request may meet the connection that the fault has closed.
        const next = server.issue().token
        await eventually(async () => (await client.verdict(next)) === 'good')
      }
      t.comment(`${asked} verifications`)
    })
  }
}
