import { readdirSync, readFileSync } from 'node:fs'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { type Test, test } from 'tap'
import { type Answer, basicAuthorization, type Call } from '../support/api.js'
import { Authenticator } from '../support/authenticator.js'
import { AuthenticatorApp } from '../support/authenticator-app.js'
import { createClient } from '../support/clients.js'
import { keyFileSettings, makeKey, publicJwk, writeKeyFile } from '../support/keys.js'
import { PASSWORD, startService } from '../support/service.js'

interface Media {
  schema: Record<string, unknown>
  example?: unknown
  examples?: Record<string, { value: unknown }>
}

interface Operation {
  summary?: string
  security?: Record<string, string[]>[]
  parameters?: { name: string; in: string; required?: boolean; description?: string; schema: Record<string, unknown> }[]
  requestBody?: { required: boolean; content: Record<string, Media> }
  responses: Record<string, { description: string; content?: Record<string, Media> }>
}

interface Document {
  info: { version: string }
  paths: Record<string, Record<string, Operation>>
}

const root = new URL('../../../', import.meta.url)
const BOTH_TYPES = ['application/json', 'application/x-www-form-urlencoded']
/** Every call with a body can get these. */
const COMMON_REFUSALS = ['400', '405', '413', '415', '500', '503']

/** Each operation as `POST /users`, with its description in the document. */
function operations(document: Document): [string, Operation][] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method.toUpperCase()} ${path}`,
      operation,
    ]),
  )
}

const examplesOf = ({ example, examples }: Media) =>
  example === undefined ? Object.values(examples ?? {}).map(({ value }) => value) : [example]

/** The schema without additional members, because an answer must not say more than the document. */
function closed(schema: unknown): Record<string, unknown> {
  const copy = structuredClone(schema) as Record<string, unknown>
  for (const part of [copy, ...Object.values((copy.properties ?? {}) as Record<string, Record<string, unknown>>)]) {
    if (part.properties) part.additionalProperties = false
    if (part.items) part.items = closed(part.items)
  }
  return copy
}

const ajv = new Ajv2020({ strict: false, allErrors: true })
/** Each schema is compiled once, because most answers share the schema of a refusal. */
const validators = new Map<string, ValidateFunction>()

function check(t: Test, schema: Record<string, unknown>, value: unknown, what: string): void {
  const key = JSON.stringify(schema)
  const validate = validators.get(key) ?? ajv.compile(schema)
  validators.set(key, validate)
  t.ok(validate(value), what, { value, errors: validate.errors })
}

async function readDocument(t: Test): Promise<Document> {
  const { api } = await startService(t, 'sqlite', { DOCS: 'on' })
  return (await api.call('/openapi.json')).body
}

test('/openapi.json is valid OpenAPI 3.1 and has the version of the service', async (t) => {
  const document = await readDocument(t)
  const validator = new Validator()
  const result = await validator.validate(structuredClone(document) as unknown as Record<string, unknown>)
  t.strictSame(result, { valid: true })
  t.equal(validator.version, '3.1')
  t.equal(document.info.version, JSON.parse(readFileSync(new URL('package.json', root), 'utf8')).version)
})

test('the document has every address of the routes in the source, and no other', async (t) => {
  const folder = new URL('src/routes/', root)
  const named = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    // The management port serves health and metrics, for the cluster. Browsers open the console and the links at `/`.
    .filter((file) => !['health.ts', 'metrics.ts', 'console.ts', 'home.ts'].includes(file))
    .flatMap((file) => [...readFileSync(new URL(file, folder), 'utf8').matchAll(/['`](\/[\w.:${}*/-]+)['`]/g)])
    .map(([, address = '']) => address.replace(/:(\w+)/g, '{$1}').replace('*', '{*}'))
  t.ok(named.length >= 17)
  const documented = Object.keys((await readDocument(t)).paths)
  // A template placeholder stands for any name.
  const patterns = named.map(
    (address) =>
      new RegExp(
        `^${address
          .replace(/\$\{.*?\}/g, '~')
          .replace(/[.{}*]/g, '\\$&')
          .replaceAll('~', '[^/]*')}$`,
      ),
  )
  for (const pattern of patterns)
    t.ok(
      documented.some((path) => pattern.test(path)),
      `${pattern} is in the document`,
    )
  for (const path of documented)
    t.ok(
      patterns.some((pattern) => pattern.test(path)),
      `${path} is in the source`,
    )
})

test('every body may be sent as JSON or as a form, and its example is valid', async (t) => {
  for (const [name, { summary, requestBody }] of operations(await readDocument(t))) {
    t.ok(summary, `${name} has a summary`)
    if (!requestBody) continue
    t.strictSame(Object.keys(requestBody.content), BOTH_TYPES, name)
    t.equal(
      requestBody.required,
      Object.values(requestBody.content).some(({ schema }) => Array.isArray(schema.required)),
      `${name} says whether the body may be left out`,
    )
    for (const [type, media] of Object.entries(requestBody.content)) {
      t.ok(examplesOf(media).length > 0, `${name} as ${type} has an example`)
      for (const example of examplesOf(media)) check(t, closed(media.schema), example, `${name}: its example passes`)
    }
  }
})

test('every answer has a schema and a valid example, and every refusal has the same body', async (t) => {
  for (const [name, { requestBody, responses, security }] of operations(await readDocument(t))) {
    const statuses = Object.keys(responses)
    t.ok(
      (requestBody ? COMMON_REFUSALS : ['500']).every((status) => statuses.includes(status)),
      `${name} has the refusals that every route has`,
    )
    if (security && name !== 'POST /refresh')
      t.ok(statuses.includes('401'), `${name} has 401, because it requires credentials`)
    for (const [status, { description, content }] of Object.entries(responses)) {
      t.not(description, 'Default Response', `${name} says what ${status} means`)
      // Here 200 has no body either, because the status says everything: /revoke, /verify.
      if (status < '300' && !content) continue
      const media = content?.['application/json']
      t.ok(media, `${name} ${status} is JSON`)
      if (!media) continue
      t.ok(examplesOf(media).length > 0, `${name} ${status} has an example`)
      for (const example of examplesOf(media)) check(t, closed(media.schema), example, `${name} ${status}: passes`)
      // RFC 6749 §5.2 allows more members. One refusal has some: what the second step of a sign-in needs.
      const more = `${name} ${status}` === 'POST /login 403' ? ['mfa_token', 'expires_in', 'factors'] : []
      if (status >= '400') {
        t.strictSame(media.schema.required, ['error', 'error_description', ...more], `${name} ${status}`)
      }
    }
  }
})

test('every operation that needs credentials according to the document refuses a call without them', async (t) => {
  const { api } = await startService(t, 'sqlite', { DOCS: 'on' })
  const document: Document = (await api.call('/openapi.json')).body
  const guarded = operations(document).filter(([, { security }]) => security)
  t.ok(guarded.length >= 8)
  for (const [name] of guarded) {
    const [method = '', path = ''] = name.split(' ')
    const { status, headers } = await api.call(path, { method, json: {} })
    // These operations take the token as a parameter of the body.
    t.equal(status, ['POST /refresh', 'POST /revoke'].includes(name) ? 400 : 401, name)
    if (status === 401) t.ok(headers['www-authenticate'], name)
  }
})

test('real answers match the document', async (t) => {
  // The calls also use a client's own token, which gives access only where a private key signs.
  const keys = keyFileSettings(writeKeyFile(t, await makeKey('ES256')))
  const { api, env } = await startService(t, 'sqlite', {
    DOCS: 'on',
    HASH_COST: 'full',
    HASH_CONCURRENCY: '1',
    HASH_QUEUE: '8',
    ...keys,
  })
  const closedService = await startService(t, 'sqlite', { SIGNUP: 'closed' })
  const document: Document = (await api.call('/openapi.json')).body
  const seen = new Set<string>()

  const expect = (name: string, status: number, answer: Answer) => {
    seen.add(`${name} ${status}`)
    t.equal(answer.status, status, `${name} answers ${status}`)
    const [method = '', path = ''] = name.split(' ')
    const response = document.paths[path]?.[method.toLowerCase()]?.responses[status]
    t.ok(response, `${name} ${status} is in the document`)
    const media = response?.content?.['application/json']
    if (media) check(t, closed(media.schema), answer.body, `${name} ${status} is as the document has it`)
    else t.equal(answer.text, '', `${name} ${status} has no body`)
    if (status >= 400) t.match(answer.headers['content-type'], /^application\/json/)
  }
  const call = async (name: string, status: number, options: Call = {}, path = name.split(' ')[1] ?? '') =>
    expect(name, status, await api.call(path, { method: name.split(' ')[0] ?? '', ...options }))

  const ada = { username: 'ada', password: PASSWORD }
  await call('POST /users', 201, { json: ada })
  await call('POST /users', 409, { form: ada })
  await call('POST /users', 400, { json: { ...ada, password: 'short' } })
  expect('POST /users', 404, await closedService.api.call('/users', { json: ada }))

  await call('POST /login', 200, { form: ada })
  await call('POST /login', 200, { json: { ...ada, scope: 'todo:read', device_name: 'phone' } })
  await call('POST /login', 400, { json: { username: 'ada' } })
  await call('POST /login', 401, { json: { ...ada, password: 'wrong' } })
  expect('POST /login', 405, await api.call('/login', { method: 'PUT' }))
  await call('POST /login', 413, { json: { ...ada, more: 'x'.repeat(17_000) } })
  await call('POST /login', 415, { raw: 'username: ada', headers: { 'content-type': 'application/yaml' } })
  const storm = await Promise.all(Array.from({ length: 40 }, () => api.call('/login', { json: ada })))
  const refused = storm.find(({ status }) => status === 503)
  if (refused) expect('POST /login', 503, refused)
  else t.fail('40 sign-ins at once, of which 9 may be hashed or wait, saturate the hash')

  const tokens = await api.tokens('ada', PASSWORD)
  const bearer = tokens.access_token
  await call('POST /refresh', 200, { json: { refresh_token: tokens.refresh_token } })
  await call('POST /refresh', 400, { json: { refresh_token: 'lkr_forged' } })
  await call('POST /refresh', 400, { raw: '', headers: { authorization: 'Bearer two tokens' } })

  const basic = Buffer.from(`${api.client.id}:${api.client.secret}`).toString('base64')
  const asClient = (form: Record<string, string>) => ({ form, headers: { authorization: `Basic ${basic}` } })
  await call('POST /introspect', 200, asClient({ token: bearer }))
  await call('POST /introspect', 200, asClient({ token: 'no-token' }))
  await call('POST /introspect', 400, asClient({}))
  await call('POST /introspect', 401, { form: { token: bearer } })
  const own = await api.call('/token', asClient({ grant_type: 'client_credentials', scope: 'admin' }))
  expect('POST /token', 200, own)
  await call('POST /introspect', 403, { form: { token: bearer }, bearer: own.body.access_token })
  await call('GET /revocations', 200, { headers: { authorization: `Basic ${basic}` } })
  await call('GET /revocations', 401)
  await call('GET /revocations', 403, { bearer: own.body.access_token })
  await call('GET /revocations', 400, { headers: { authorization: `Basic ${basic}` } }, '/revocations?wait=soon')
  const { refresh_token: another } = await api.tokens('ada', PASSWORD)
  await call('POST /token', 200, asClient({ grant_type: 'refresh_token', refresh_token: another }))
  await call('POST /token', 400, asClient({ grant_type: 'password' }))
  await call('POST /token', 401, { form: { grant_type: 'client_credentials' } })
  await call('POST /revoke', 200, asClient({ token: another }))
  await call('POST /revoke', 401, { form: { token: another, client_id: 'todo', client_secret: 'wrong' } })

  for (const name of ['GET /verify', 'GET /verify/{*}']) {
    await call(name, 200, { bearer })
    await call(name, 401)
    expect(name, 403, await api.call('/verify?role=admin', { bearer }))
  }
  await call('GET /.well-known/oauth-authorization-server', 200)
  await call('GET /.well-known/openid-configuration', 200)
  await call('GET /.well-known/jwks.json', 200)
  expect('GET /.well-known/jwks.json', 405, await api.call('/.well-known/jwks.json', { method: 'PUT' }))

  await call('GET /sessions', 200, { bearer })
  await call('GET /sessions', 401)
  const other = await api.tokens('ada', PASSWORD, { device_name: 'laptop' })
  await call('DELETE /sessions/{sid}', 204, { bearer }, `/sessions/${other.sid}`)
  await call('DELETE /sessions', 204, { bearer }, '/sessions?except=current')
  await call('DELETE /sessions', 400, { bearer })

  const renewed = 'seven tame otters hum'
  const change = { current_password: PASSWORD, new_password: renewed }
  await call('POST /users/me/password', 204, { bearer, json: change })
  await call('POST /users/me/password', 401, { bearer, json: change })
  await call('POST /logout', 204, { bearer })
  await call('POST /logout', 401)
  await call('POST /logout-all', 204, { bearer: (await api.tokens('ada', renewed)).access_token })
  await call('POST /logout-all', 401, { bearer })
  const last = (await api.tokens('ada', renewed)).access_token
  await call('DELETE /users/me', 401, { bearer: last, json: { password: 'wrong' } })
  await call('DELETE /users/me', 204, { bearer: last, json: { password: renewed } })

  const eve = { username: 'eve', password: PASSWORD }
  const evesId = (await api.call('/users', { json: eve })).body.id
  const recent = await api.tokens('eve', PASSWORD)
  const asEve = { bearer: recent.access_token }
  await call('GET /users/me/factors', 200, asEve)
  const begun = await api.call('/users/me/factors/totp', { method: 'POST', ...asEve })
  expect('POST /users/me/factors/totp', 200, begun)
  const app = new AuthenticatorApp(begun.body.secret)
  await call('POST /users/me/factors/totp/confirm', 400, { ...asEve, json: { totp: '000000' } })
  await call('POST /users/me/factors/totp/confirm', 200, { ...asEve, json: { totp: await app.next(), name: 'phone' } })
  const codes = await api.call('/users/me/factors/recovery-codes', { method: 'POST', ...asEve })
  expect('POST /users/me/factors/recovery-codes', 200, codes)
  const creation = await api.call('/users/me/factors/passkeys/options', { method: 'POST', ...asEve })
  expect('POST /users/me/factors/passkeys/options', 200, creation)
  const passkey = new Authenticator()
  const created = { ...asEve, json: { passkey: passkey.create(creation.body) } }
  const added = await api.call('/users/me/factors/passkeys', created)
  expect('POST /users/me/factors/passkeys', 200, added)
  const held = await api.call('/login', { json: eve })
  expect('POST /login', 403, held)
  await call('POST /login/mfa', 401, { json: { mfa_token: held.body.mfa_token, totp: '000000' } })
  await call('POST /login/mfa', 200, { json: { mfa_token: held.body.mfa_token, totp: await app.next() } })
  await call('POST /login/mfa', 400, { json: { mfa_token: 'lkt_expired', totp: '000000' } })
  const request = await api.call('/login/passkey/options', { json: {} })
  expect('POST /login/passkey/options', 200, request)
  await call('POST /login/passkey', 200, { json: { passkey: passkey.get(request.body) } })
  await call('POST /login/passkey', 401, { json: { passkey: passkey.get(request.body) } })
  await call('POST /login/step-up', 200, { ...asEve, json: { recovery_code: codes.body.recovery_codes[0] } })
  await call('POST /login/step-up', 401, { json: { password: PASSWORD } })
  const ofEve = added.body.factor.id
  await call('DELETE /users/me/factors/{id}', 204, asEve, `/users/me/factors/${ofEve}`)
  await call('DELETE /users/me/factors/{id}', 404, asEve, `/users/me/factors/${ofEve}`)
  const mailer = { headers: basicAuthorization(await createClient(env, 'mailer', { scopes: ['recovery'] })) }
  const recoveryToken = await api.call('/recovery', { ...mailer, json: { username: 'eve' } })
  expect('POST /recovery', 200, recoveryToken)
  await call('POST /recovery', 404, { ...mailer, json: { username: 'nobody' } })
  await call('POST /recovery', 403, asClient({ username: 'eve' }))
  const recovery = { json: { token: recoveryToken.body.token, new_password: renewed } }
  await call('POST /recovery/complete', 204, recovery)
  await call('POST /recovery/complete', 400, recovery)

  const byAdmin = (options: Call = {}) => ({ ...options, headers: { authorization: `Basic ${basic}` } })
  const made = await api.call('/admin/users', { method: 'POST', ...byAdmin({ json: { ...ada, roles: ['editor'] } }) })
  expect('POST /admin/users', 201, made)
  const user = `/admin/users/${made.body.id}`
  const sub = `sub=${made.body.id}`
  await call('POST /admin/users', 409, byAdmin({ json: ada }))
  await call('POST /admin/users', 400, byAdmin({ json: {} }))
  await call('GET /admin/users', 200, byAdmin())
  await call('GET /admin/users', 401)
  const introspector = await api.call('/token', asClient({ grant_type: 'client_credentials', scope: 'introspect' }))
  await call('GET /admin/users', 403, { bearer: introspector.body.access_token })
  await call('GET /admin/users/{id}', 200, byAdmin(), user)
  await call('GET /admin/users/{id}', 404, byAdmin(), '/admin/users/nobody')
  await call('PUT /admin/users/{id}/roles', 204, byAdmin({ json: { roles: 'editor' } }), `${user}/roles`)
  await call('PUT /admin/users/{id}/claims', 204, byAdmin({ json: { claims: { plan: 'gold' } } }), `${user}/claims`)
  await call('PUT /admin/users/{id}/username', 200, byAdmin({ json: { username: 'Ada' } }), `${user}/username`)
  await call('POST /admin/users/{id}/password', 204, byAdmin({ json: { password: renewed } }), `${user}/password`)
  await call('POST /admin/users/{id}/disable', 204, byAdmin(), `${user}/disable`)
  await call('POST /admin/users/{id}/enable', 204, byAdmin(), `${user}/enable`)
  const { sid } = await api.tokens('ada', renewed)
  for (const name of ['now', 'activity', 'keys']) await call(`GET /admin/${name}`, 200, byAdmin())
  await call('GET /admin/sessions', 200, byAdmin(), `/admin/sessions?${sub}`)
  await call('DELETE /admin/sessions/{sid}', 204, byAdmin(), `/admin/sessions/${sid}?${sub}`)
  await call('DELETE /admin/sessions', 204, byAdmin(), `/admin/sessions?${sub}`)
  const eves = `/admin/users/${evesId}`
  await call('GET /admin/users/{id}/factors', 200, byAdmin(), `${eves}/factors`)
  await call('DELETE /admin/users/{id}/factors', 204, byAdmin(), `${eves}/factors`)
  await call('PUT /admin/users/{id}/mfa', 204, byAdmin({ json: { required: true } }), `${eves}/mfa`)
  await call('DELETE /admin/users/{id}', 204, byAdmin(), user)
  await call('POST /admin/clients', 201, byAdmin({ json: { id: 'backend' } }))
  await call('POST /admin/clients', 409, byAdmin({ json: { id: 'backend' } }))
  await call('GET /admin/clients', 200, byAdmin())
  await call('GET /admin/clients/{id}', 200, byAdmin(), '/admin/clients/backend')
  const jwks = { keys: [publicJwk(await makeKey('ES256'))] }
  await call('PATCH /admin/clients/{id}', 200, byAdmin({ json: { jwks } }), '/admin/clients/backend')
  await call('PATCH /admin/clients/{id}', 400, byAdmin({ json: { issuer: 'x' } }), '/admin/clients/backend')
  const issuer = { name: 'cluster', issuer: 'https://cluster.test', jwks }
  await call('POST /admin/issuers', 201, byAdmin({ json: issuer }))
  await call('POST /admin/issuers', 409, byAdmin({ json: issuer }))
  await call('GET /admin/issuers', 200, byAdmin())
  await call('GET /admin/issuers/{name}', 200, byAdmin(), '/admin/issuers/cluster')
  await call('GET /admin/issuers/{name}', 404, byAdmin(), '/admin/issuers/nobody')
  await call('DELETE /admin/issuers/{name}', 204, byAdmin(), '/admin/issuers/cluster')
  const changes = byAdmin({ json: { exchange_audiences: ['todo'] } })
  await call('PATCH /admin/clients/{id}', 200, changes, '/admin/clients/backend')
  await call('POST /admin/clients/{id}/secret', 200, byAdmin(), '/admin/clients/backend/secret')
  await call('DELETE /admin/clients/{id}', 204, byAdmin(), '/admin/clients/backend')

  // A new route needs a call above.
  const successes = operations(document).flatMap(([name, { responses }]) =>
    Object.keys(responses)
      .filter((status) => status < '300')
      .map((status) => `${name} ${status}`),
  )
  t.strictSame(
    successes.filter((success) => !seen.has(success)),
    [],
    'every success has been seen',
  )
})

test('/verify documents each demand of its query, and enforces each', async (t) => {
  const { api } = await startService(t, 'sqlite', { DOCS: 'on' })
  await api.signUp('ada', PASSWORD)
  const { access_token: bearer } = await api.tokens('ada', PASSWORD, { scope: 'todo:read' })
  // What this token has, and what it lacks.
  const values: Record<string, [had: string, lacked: string]> = {
    aud: ['http://latchkey.test', 'todo'],
    scope: ['todo:read', 'todo:read todo:write'],
    role: ['', 'admin'],
    acr: ['1', '2'],
    max_age: ['600', '0'],
  }
  const { paths }: Document = (await api.call('/openapi.json')).body
  for (const path of ['/verify', '/verify/{*}']) {
    const { parameters = [] } = paths[path]?.get ?? {}
    const query = parameters.filter((each) => each.in === 'query')
    t.strictSame(
      query.map(({ name }) => name),
      Object.keys(values),
      path,
    )
    for (const { name, required, schema, description } of query) {
      t.notOk(required, name)
      t.ok(description, name)
      const [had = '', lacked = ''] = values[name] ?? []
      const ask = async (value: string) =>
        (await api.call(`${path}?${new URLSearchParams({ [name]: value })}`, { bearer })).status
      for (const value of [had, lacked]) check(t, schema, value, `${name}=${value}`)
      t.equal(await ask(had), 200, `${name}=${had}`)
      t.ok([401, 403].includes(await ask(lacked)), `${name}=${lacked}`)
    }
  }
})

test('the page loads the document', async (t) => {
  const { api } = await startService(t, 'sqlite', { DOCS: 'on' })
  const page = await api.call('/docs')
  t.equal(page.status, 200)
  t.match(page.headers['content-type'], /^text\/html/)
  t.match((await api.call('/docs/static/swagger-initializer.js')).text, /resolveUrl\('\.\/json'\)/)
  t.strictSame((await api.call('/docs/json')).body, (await api.call('/openapi.json')).body)
})

test('production serves the document and its page only with DOCS=on; other modes serve both unless DOCS=off', async (t) => {
  const rows = [
    { overrides: { NODE_ENV: 'production', DOCS: '' }, status: 404 },
    { overrides: { NODE_ENV: 'production', DOCS: 'on' }, status: 200 },
    { overrides: { DOCS: 'off' }, status: 404 },
    { overrides: { DOCS: '' }, status: 200 },
  ]
  for (const { overrides, status } of rows) {
    const { api } = await startService(t, 'sqlite', overrides as Record<string, string>)
    for (const path of ['/openapi.json', '/docs', '/docs/json']) {
      t.equal((await api.call(path)).status, status, `${path} with ${JSON.stringify(overrides)}`)
    }
  }
})
