import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose'
import * as oauth from 'oauth4webapi'
import { test } from 'tap'
import { TOKEN_EXCHANGE } from '../../schemas/token.js'
import { basicAuthorization } from '../support/api.js'
import { createClient } from '../support/clients.js'
import { algorithms, keyFileSettings, makeKey, publicJwk, writeKeyFile } from '../support/keys.js'
import { CLIENT, PASSWORD, startService } from '../support/service.js'

test('metadata follows RFC 8414 under both names, and its addresses exist', async (t) => {
  const { api } = await startService(t, 'sqlite', { ISSUER: 'https://auth.example.com/' })
  for (const name of ['oauth-authorization-server', 'openid-configuration']) {
    const answer = await api.call(`/.well-known/${name}`)

    t.equal(answer.status, 200)
    t.match(answer.headers, { 'content-type': /^application\/json/, 'cache-control': 'public, max-age=300' })
    const methods = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']
    const algorithms = ['ES256', 'RS256', 'PS256', 'EdDSA']
    t.strictSame(answer.body, {
      issuer: 'https://auth.example.com/',
      token_endpoint: 'https://auth.example.com/token',
      introspection_endpoint: 'https://auth.example.com/introspect',
      revocation_endpoint: 'https://auth.example.com/revoke',
      revocation_feed_endpoint: 'https://auth.example.com/revocations',
      jwks_uri: 'https://auth.example.com/.well-known/jwks.json',
      response_types_supported: [],
      grant_types_supported: ['client_credentials', 'refresh_token', TOKEN_EXCHANGE],
      acr_values_supported: ['1', '2'],
      token_endpoint_auth_methods_supported: methods,
      introspection_endpoint_auth_methods_supported: methods,
      revocation_endpoint_auth_methods_supported: methods,
      token_endpoint_auth_signing_alg_values_supported: algorithms,
      introspection_endpoint_auth_signing_alg_values_supported: algorithms,
      revocation_endpoint_auth_signing_alg_values_supported: algorithms,
      // Without these members OpenID libraries refuse the document. RFC 8414 does not know them.
      ...(name === 'openid-configuration' && {
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['ES256', 'RS256', 'EdDSA'],
      }),
    })
    for (const endpoint of ['token', 'introspection', 'revocation']) {
      const path = new URL(answer.body[`${endpoint}_endpoint`]).pathname
      t.equal(
        (await api.call(path, { form: {}, headers: basicAuthorization(CLIENT) })).status,
        400,
        `${path} asks for more`,
      )
    }
    t.equal((await api.call(new URL(answer.body.jwks_uri).pathname)).status, 200)
    const feed = new URL(answer.body.revocation_feed_endpoint).pathname
    t.equal((await api.call(feed, { headers: basicAuthorization(CLIENT) })).status, 200)
  }
})

test('the metadata of an issuer with a path is where RFC 8414 and OpenID Connect look for it', async (t) => {
  for (const [issuer, path] of [
    ['https://auth.example.com/tenant/one', '/tenant/one'],
    ['https://auth.example.com/tenant/', '/tenant'],
    ['https://auth.example.com/a:b/c%20d', '/a:b/c%20d'],
  ] as const) {
    const { api } = await startService(t, 'sqlite', { ISSUER: issuer })
    for (const name of ['oauth-authorization-server', 'openid-configuration']) {
      const { text } = await api.call(`/.well-known/${name}`)
      for (const address of [`/.well-known/${name}${path}`, `${path}/.well-known/${name}`]) {
        const answer = await api.call(address)
        t.match(answer, { status: 200, text }, address)
        t.match(answer.headers, { 'content-type': /^application\/json/, 'cache-control': 'public, max-age=300' })
        t.match(await api.call(address, { method: 'POST' }), { status: 405, headers: { allow: 'GET, HEAD' } }, address)
      }
      for (const address of [
        `/.well-known/${name}/other`,
        `/.well-known/${name}${path}/x`,
        `/other/.well-known/${name}`,
      ]) {
        t.equal((await api.call(address)).status, 404, address)
      }
      t.equal((await api.call(`/.well-known/${name}`)).status, 200)
    }
  }
  const { api } = await startService(t, 'sqlite', { ISSUER: 'https://auth.example.com/a*b' })
  for (const path of ['/.well-known/oauth-authorization-server/axb', '/axb/.well-known/oauth-authorization-server'])
    t.equal((await api.call(path)).status, 404, 'an asterisk is not a pattern')

  // A client of the library looks here.
  const issuer = new URL('http://latchkey.test/tenant')
  const service = await startService(t, 'sqlite', { ISSUER: issuer.href })
  const fetchFromService: typeof fetch = (input) => fetch(new URL(new URL(String(input)).pathname, service.api.url))
  for (const algorithm of ['oauth2', 'oidc'] as const) {
    const response = await oauth.discoveryRequest(issuer, {
      algorithm,
      [oauth.allowInsecureRequests]: true,
      [oauth.customFetch]: (url) => fetchFromService(url),
    })
    t.match(await oauth.processDiscoveryResponse(issuer, response), { issuer: issuer.href }, algorithm)
  }
})

test('the JWKS holds only public keys: no private member, no shared secret (RFC 7517)', async (t) => {
  const keys = await Promise.all(algorithms.map(makeKey))
  const { api } = await startService(t, 'sqlite', keyFileSettings(writeKeyFile(t, ...keys)))

  const answer = await api.call('/.well-known/jwks.json')

  t.match(answer.headers, { 'content-type': /^application\/(jwk-set\+)?json/, 'cache-control': 'public, max-age=300' })
  t.strictSame(
    answer.body,
    { keys: keys.filter(({ alg }) => alg !== 'HS256').map(publicJwk) },
    'in the order of the file',
  )
  for (const key of keys) {
    for (const member of ['k', 'd', 'p', 'q', 'dp', 'dq', 'qi'] as const) {
      const secret = key[member]
      if (secret !== undefined) t.notOk(answer.text.includes(secret), `${key.alg}: ${member} stays here`)
    }
  }
})

test('with only shared secrets the JWKS is empty', async (t) => {
  const { api } = await startService(t, 'sqlite')
  t.match(await api.call('/.well-known/jwks.json'), { status: 200, text: '{"keys":[]}' })
})

for (const alg of ['ES256', 'RS256', 'EdDSA'] as const) {
  test(`${alg}: an access token follows RFC 9068, as independent libraries verify`, async (t) => {
    const key = await makeKey(alg)
    const { api, env } = await startService(t, 'sqlite', { AUDIENCE: 'todo', ...keyFileSettings(writeKeyFile(t, key)) })
    const client = await createClient(env, 'backend', { scopes: ['todo:read'] })
    const signUp = await api.signUp('ada', PASSWORD)
    const person = await api.tokens('ada', PASSWORD, { scope: 'todo:read' })
    const own = await api.call('/token', {
      form: { grant_type: 'client_credentials' },
      headers: basicAuthorization(client),
    })
    const judges = createRemoteJWKSet(new URL('/.well-known/jwks.json', api.url))

    for (const [token, sub, clientId] of [
      [person.access_token, signUp.body.id, 'latchkey'],
      [own.body.access_token, 'backend', 'backend'],
    ]) {
      const { payload, protectedHeader } = await jwtVerify(token, judges, {
        algorithms: [alg],
        typ: 'at+jwt',
        issuer: 'http://latchkey.test',
        audience: 'todo',
        requiredClaims: ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti', 'scope'],
      })
      t.strictSame(protectedHeader, { alg, typ: 'at+jwt', kid: key.kid })
      t.match(payload, { sub, client_id: clientId, scope: 'todo:read', aud: 'todo' })
      t.equal(Number(payload.exp) - Number(payload.iat), 900)
      t.match(payload.jti, /^[\w-]{22}$/, '122 bits')

      // A resource server does this with a request.
      const request = new Request('http://todo.test/items', { headers: { authorization: `Bearer ${token}` } })
      const server = { issuer: 'http://latchkey.test', jwks_uri: `${api.url}/.well-known/jwks.json` }
      const claims = await oauth.validateJwtAccessToken(server, request, 'todo', {
        signingAlgorithms: [alg],
        [oauth.allowInsecureRequests]: true,
      })
      t.match(claims, { sub, client_id: clientId })
    }
    t.equal(decodeJwt(person.access_token).sid, person.sid)
    t.equal(decodeJwt(own.body.access_token).sid, undefined)
  })
}
