import { writeFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import { exportJWK } from 'jose'
import { test } from 'tap'
import { basicAuthorization } from '../support/api.js'
import {
  assertion,
  jwksOf,
  makeKeyClient,
  makeSigner,
  refusedClient,
  secondsNow,
  sign,
  tokenBy,
} from '../support/assertions.js'
import { startKeyServer } from '../support/key-server.js'
import { CLIENT, JWT_SECRET, REFRESH_SECRET, startService, temporaryFolder } from '../support/service.js'

test('W7 a key address that redirects, hangs, is huge, answers HTML or names private keys: refused, and nobody else waits', async (t) => {
  const { api, env, log } = await startService(t, 'sqlite')
  const signer = await makeSigner()
  const jwks = JSON.stringify(jwksOf(signer))
  const good = await startKeyServer(t, (_request, response) => response.end(jwks))
  const privateJwk = { ...(await exportJWK(signer.privateKey)), kid: signer.publicJwk.kid, alg: 'ES256' }
  const listeners: Record<string, RequestListener> = {
    redirects: (_request, response) => response.writeHead(302, { location: `${good.url}/jwks` }).end(),
    hangs: () => {},
    'never-ends': (_request, response) => {
      response.write('{"keys":[')
      const timer = setInterval(() => response.write(' '), 50)
      response.on('close', () => clearInterval(timer))
    },
    huge: (_request, response) => response.end(`{"pad":"${'x'.repeat(300_000)}",${jwks.slice(1)}`),
    html: (_request, response) => response.setHeader('content-type', 'text/html').end('<html>keys</html>'),
    private: (_request, response) => response.end(JSON.stringify({ keys: [privateJwk] })),
    fails: (_request, response) => response.writeHead(500).end(jwks),
    empty: (_request, response) => response.end('{"keys":[]}'),
    list: (_request, response) => response.end(JSON.stringify([signer.publicJwk])),
  }
  await makeKeyClient(env, 'good', { jwksUri: `${good.url}/jwks` })
  for (const [id, listener] of Object.entries(listeners)) {
    const { url } = await startKeyServer(t, listener)
    await makeKeyClient(env, id, { jwksUri: `${url}/jwks` })
  }
  const ids = Object.keys(listeners)

  let slowest = 0
  const bad = Promise.all(
    ids.map(async (id) => {
      const began = performance.now()
      t.match(await tokenBy(api, await assertion(signer, id)), refusedClient, id)
      slowest = Math.max(slowest, performance.now() - began)
    }),
  )
  const began = performance.now()
  t.equal((await tokenBy(api, await assertion(signer, 'good'))).status, 200)
  t.equal((await api.introspect('x')).status, 200)
  const others = performance.now() - began
  await bad
  t.ok(others < slowest, `the others were served first: ${Math.round(others)} ms of ${Math.round(slowest)} ms`)
  // Two of the servers never end their answer. The service gives up after 2 s, or later on a busy machine.
  t.ok(slowest < 60_000, `bounded: ${Math.round(slowest)} ms`)
  t.equal(good.hits(), 1, 'no redirect was followed')
  const told = log.filter(({ msg }) => msg === 'the keys of a signer of assertions cannot be fetched')
  t.strictSame(
    [...new Set(told.map(({ signer }) => signer))].sort(),
    ids
      .filter((id) => !['private', 'empty', 'list'].includes(id))
      .map((id) => `client ${id}`)
      .sort(),
  )
})

test('J7, W7: any number of unknown key ids causes one fetch, and none goes to an address that an assertion names', async (t) => {
  const { api, env } = await startService(t, 'sqlite')
  const [signer, next] = [await makeSigner(), await makeSigner()]
  let keys = jwksOf(signer)
  const server = await startKeyServer(t, (_request, response) => response.end(JSON.stringify(keys)))
  const canary = await startKeyServer(t, (_request, response) => response.end(JSON.stringify(keys)))
  await makeKeyClient(env, 'billing', { jwksUri: `${server.url}/jwks` })
  const first = await Promise.all(
    Array.from({ length: 20 }, async () => tokenBy(api, await assertion(signer, 'billing'))),
  )
  t.ok(first.every(({ status }) => status === 200))
  t.equal(server.hits(), 1, 'concurrent requests share one fetch')

  keys = jwksOf(signer, next)
  t.equal((await tokenBy(api, await assertion(next, 'billing'))).status, 200, 'a new key is found at once')
  t.equal(server.hits(), 2)
  for (let i = 0; i < 20; i += 1) {
    t.match(await tokenBy(api, await assertion(signer, 'billing', {}, { kid: `made up ${i}` })), refusedClient)
  }
  t.equal(server.hits(), 2, 'invented ids wait for the cool-down')
  for (const header of [{ jku: canary.url }, { x5u: canary.url }, { jku: canary.url, kid: 'x' }]) {
    t.match(await tokenBy(api, await assertion(signer, 'billing', {}, header)), refusedClient, JSON.stringify(header))
  }
  const now = secondsNow()
  const foreign = {
    iss: canary.url,
    sub: 'x',
    aud: canary.url,
    exp: now + 60,
    iat: now,
    jti: 'x',
    jwks_uri: canary.url,
  }
  t.match(await tokenBy(api, await sign(signer, foreign)), refusedClient)
  t.equal(canary.hits(), 0)
})

test('in production keys come over https, or from this machine', async (t) => {
  const production = {
    NODE_ENV: 'production',
    JWT_SECRET: `${JWT_SECRET}production`,
    REFRESH_SECRET: `${REFRESH_SECRET}production`,
    SIGNUP: 'closed',
  }
  const { api, env } = await startService(t, 'sqlite', production)
  const create = (json: object) =>
    api.call('/admin/clients', { json: { id: 'billing', ...json }, headers: basicAuthorization(CLIENT) })
  const addIssuer = (json: object) =>
    api.call('/admin/issuers', { json: { name: 'cluster', ...json }, headers: basicAuthorization(CLIENT) })
  const refused = { status: 400, body: { error: 'invalid_request', error_description: /https/ } }
  t.match(await create({ jwks_uri: 'http://app.test/jwks' }), refused)
  t.match(await create({ jwks_uri: 'http://127.0.0.1.evil.test/jwks' }), refused)
  t.match(await addIssuer({ issuer: 'http://cluster.test' }), refused)
  t.match(await addIssuer({ issuer: 'https://cluster.test', jwks_uri: 'http://cluster.test/keys' }), refused)
  t.equal((await create({ jwks_uri: 'http://localhost:1/jwks' })).status, 201)
  t.equal((await addIssuer({ issuer: 'https://cluster.test' })).status, 201)
  // As a row that a development service left.
  const signer = await makeSigner()
  const server = await startKeyServer(t, (_request, response) => response.end(JSON.stringify(jwksOf(signer))))
  await makeKeyClient(env, 'left', { jwksUri: server.url.replace('127.0.0.1', '0.0.0.0') })
  t.match(await tokenBy(api, await assertion(signer, 'left')), refusedClient)
  t.equal(server.hits(), 0)
})

test('an administrator cannot have a secret of the service sent to an address of their choice', async (t) => {
  const { api, log } = await startService(t, 'sqlite')
  const signer = await makeSigner()
  const seen: (string | undefined)[] = []
  const server = await startKeyServer(t, ({ headers }, response) => {
    seen.push(headers.authorization)
    response.end(JSON.stringify(jwksOf(signer)))
  })
  const folder = temporaryFolder(t)
  const now = secondsNow()
  for (const [index, secret] of [
    JWT_SECRET,
    'postgres://user:password@db.test/latchkey',
    JSON.stringify({ keys: [{ kty: 'oct', k: 'x' }] }),
    'a.b.c',
    '-----BEGIN PRIVATE KEY-----\nMIG\n-----END PRIVATE KEY-----',
    '',
  ].entries()) {
    const path = join(folder, String(index))
    writeFileSync(path, secret)
    const issuer = `https://cluster-${index}.test`
    const json = { name: `c${index}`, issuer, jwks_uri: server.url, bearer_file: path }
    t.equal((await api.call('/admin/issuers', { json, headers: basicAuthorization(CLIENT) })).status, 201)
    const token = await sign(signer, { iss: issuer, sub: 'x', aud: 'http://latchkey.test', exp: now + 60, iat: now })
    t.match(await tokenBy(api, token), refusedClient)
  }
  for (const bearer_file of ['relative', '/dev/zero', '/nowhere']) {
    const json = { name: 'odd', issuer: 'https://odd.test', jwks_uri: server.url, bearer_file }
    const added = await api.call('/admin/issuers', { json, headers: basicAuthorization(CLIENT) })
    if (bearer_file === 'relative') t.equal(added.status, 400)
    const token = await sign(signer, {
      iss: 'https://odd.test',
      sub: 'x',
      aud: 'http://latchkey.test',
      exp: now + 60,
      iat: now,
    })
    t.match(await tokenBy(api, token), refusedClient, bearer_file)
    await api.call('/admin/issuers/odd', { method: 'DELETE', json: {}, headers: basicAuthorization(CLIENT) })
  }
  t.strictSame(seen, [], 'nothing was sent')
  t.notOk(JSON.stringify(log).includes(JWT_SECRET))
})
