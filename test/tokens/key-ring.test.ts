import { writeFileSync } from 'node:fs'
import { createLocalJWKSet, importJWK, jwtVerify } from 'jose'
import { test } from 'tap'
import { decodeHeader } from '../support/decode.js'
import { algorithms, jwkSet, keyFileSettings, makeKey, publicJwk, writeKeyFile } from '../support/keys.js'
import { PASSWORD, startService, startServiceWith } from '../support/service.js'

for (const alg of algorithms) {
  test(`a ${alg} key of a file signs, introspects and is published, and independent libraries verify its tokens`, async (t) => {
    const key = await makeKey(alg)
    const { api } = await startService(t, 'sqlite', keyFileSettings(writeKeyFile(t, key)))
    await api.signUp('ada', PASSWORD)
    const session = await api.tokens('ada', PASSWORD)
    const { body: refreshed } = await api.refresh(session.refresh_token)
    const { body: jwks } = await api.call('/.well-known/jwks.json')

    t.strictSame(jwks, { keys: alg === 'HS256' ? [] : [publicJwk(key)] })
    const judge = alg === 'HS256' ? await importJWK(key) : createLocalJWKSet(jwks)
    for (const token of [session.access_token, refreshed.access_token]) {
      t.strictSame(decodeHeader(token), { alg, typ: 'at+jwt', kid: key.kid })
      const expected = { algorithms: [alg], typ: 'at+jwt', issuer: 'http://latchkey.test' }
      // One overload takes a key, the other a function that finds it.
      const { payload } = await (typeof judge === 'function'
        ? jwtVerify(token, judge, expected)
        : jwtVerify(token, judge, expected))
      t.match((await api.introspect(token)).body, { ...payload, active: true })
    }
    t.equal((await api.logout(session.access_token)).status, 204)
    t.strictSame((await api.introspect(refreshed.access_token)).body, { active: false })
  })
}

test('the first key of the file signs, every key verifies, and a removed key no longer verifies', async (t) => {
  const [ec, rsa, ed, oct] = [
    await makeKey('ES256'),
    await makeKey('RS256'),
    await makeKey('EdDSA'),
    await makeKey('HS256'),
  ]
  const path = writeKeyFile(t, ec, rsa, ed, oct)
  const { api, env, close } = await startService(t, 'sqlite', keyFileSettings(path))
  await api.signUp('ada', PASSWORD)
  const tokens = [(await api.tokens('ada', PASSWORD)).access_token]
  await close()
  // Moves each other key to the front in turn.
  for (const order of [
    [rsa, ec, ed, oct],
    [ed, rsa, ec, oct],
    [oct, ed, rsa, ec],
  ]) {
    writeFileSync(path, jwkSet(...order))
    const service = await startServiceWith(t, env)
    tokens.push((await service.api.tokens('ada', PASSWORD)).access_token)
    await service.close()
  }
  t.strictSame(
    tokens.map((token) => decodeHeader(token).kid),
    [ec, rsa, ed, oct].map(({ kid }) => kid),
  )

  const all = await startServiceWith(t, env)
  for (const token of tokens) t.equal(await all.api.isActive(token), true, decodeHeader(token).alg)
  await all.close()

  writeFileSync(path, jwkSet(oct, rsa))
  const fewer = await startServiceWith(t, env)
  const alive = await Promise.all(tokens.map((token) => fewer.api.isActive(token)))
  t.strictSame(alive, [false, true, false, true])
})

test('a key without kid and alg gets its thumbprint as kid, and its alg from its type', async (t) => {
  for (const alg of algorithms) {
    const { kid, alg: _, ...bare } = await makeKey(alg)
    const { api } = await startService(t, 'sqlite', keyFileSettings(writeKeyFile(t, bare)))
    await api.signUp('ada', PASSWORD)
    const { access_token: token } = await api.tokens('ada', PASSWORD)
    t.strictSame(decodeHeader(token), { alg, typ: 'at+jwt', kid })
    t.equal(await api.isActive(token), true)
  }
})
