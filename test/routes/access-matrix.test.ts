import { randomBytes } from 'node:crypto'
import { type Test, test } from 'tap'
import { adminClient } from '../support/admin-client.js'
import { type Answer, type Api, basicAuthorization, type Call } from '../support/api.js'
import { asserted, assertion, jwksOf, makeKeyClient, makeSigner, secondsNow, sign } from '../support/assertions.js'
import { createClient } from '../support/clients.js'
import { claimsOf } from '../support/decode.js'
import { exchange } from '../support/exchange.js'
import { Forger, kidOf } from '../support/hostile/forger.js'
import { keyFileSettings, makeKey, writeKeyFile } from '../support/keys.js'
import { ISSUER, JWT_SECRET, PASSWORD, startService } from '../support/service.js'

/** What a caller presents, and what is true of it. The rules below read nothing else. */
interface Credential {
  who: 'nobody' | 'person' | 'client'
  scopes?: readonly string[]
  /** In which way a client proves itself. */
  way?: 'secret' | 'bearer' | 'assertion'
  /** The audience of a bearer token. */
  aud?: string
  /** A client got the token for the person. */
  isExchanged?: boolean
  /** A person with the role `latchkey-admin`, in a session with the scope `admin`. */
  administrates?: boolean
  /** Forged, expired, replayed, or for another issuer. */
  isBad?: boolean
  /** Makes the credential. Some requests end what they present, so each request that is not a GET gets a new one. */
  make(): Call | Promise<Call>
}

/** The credential, made once. Only an assertion is made for each request, because it is good for one request. */
async function madeOnce(credential: Credential): Promise<Credential> {
  if (credential.way === 'assertion') return credential
  const call = await credential.make()
  return { ...credential, make: () => call }
}

interface Route {
  method: string
  path: string
}

type Rule = (credential: Credential) => boolean

const isOwnAudience = ({ aud }: Credential) => aud === 'web' || aud === ISSUER
const clientWith =
  (scope: string): Rule =>
  ({ who, scopes, way, aud, isBad }) =>
    who === 'client' && !isBad && (scopes ?? []).includes(scope) && (way !== 'bearer' || aud === ISSUER)
const person: Rule = (credential) =>
  credential.who === 'person' && !credential.isBad && !credential.isExchanged && isOwnAudience(credential)

const administrator: Rule = (credential) => person(credential) && credential.administrates === true

/** Who gets past the guards of a route, by its address. A new route is under one of them, or the test names it. */
const RULES: readonly (readonly [routes: RegExp, rule: Rule])[] = [
  [/^\S+ \/admin\//, (credential) => clientWith('admin')(credential) || administrator(credential)],
  [/^POST \/introspect$|^GET \/revocations$/, clientWith('introspect')],
  [/^POST \/recovery$/, clientWith('recovery')],
  [/^POST \/token$/, ({ who, way, isBad }) => who === 'client' && !isBad && way !== 'bearer'],
  [/^\S+ \/(sessions|users\/me)(\/|$)|^POST \/logout-all$/, person],
  [/^POST \/login\/step-up$/, ({ who, isBad, isExchanged }) => who === 'person' && !isBad && !isExchanged],
  [/^GET \/verify/, ({ who, way, isBad }) => !isBad && (who === 'person' || (who === 'client' && way === 'bearer'))],
]
/** Routes that anybody may call, or whose credential is in the body: no cell of theirs may be an internal error. */
const OPEN =
  /^POST \/(users|login|login\/mfa|login\/passkey|login\/passkey\/options|refresh|logout|revoke|recovery\/complete)$|^GET \/(\.well-known\/|docs|openapi\.json)/

async function start(t: Test) {
  const key = await makeKey('EdDSA')
  const shared = { kty: 'oct', k: Buffer.from(JWT_SECRET).toString('base64url'), kid: kidOf(JWT_SECRET), alg: 'HS256' }
  const service = await startService(t, 'sqlite', {
    ...keyFileSettings(writeKeyFile(t, key, shared)),
    AUDIENCE: 'web,todo',
    DOCS: 'on',
    SESSIONS_PER_USER: '10000',
    LOG_LEVEL: 'warn',
  })
  const { api, env } = service
  for (const username of ['ada', 'eve', 'victim']) {
    await adminClient(api)('POST', '/users', { json: { username, password: PASSWORD } })
  }
  await adminClient(api)('POST', '/users', {
    json: { username: 'root', password: PASSWORD, roles: ['latchkey-admin'] },
  })
  return { ...service, key, ...(await credentials(api, env, key)) }
}

const SUBJECT = 'system:serviceaccount:shop:billing'

async function credentials(api: Api, env: Record<string, string>, key: Awaited<ReturnType<typeof makeKey>>) {
  const every = ['admin', 'introspect', 'recovery']
  const able = await createClient(env, 'able', { scopes: every })
  const plain = await createClient(env, 'plain', { scopes: ['todo:read'] })
  const gateway = await createClient(env, 'gateway', { exchangeAudiences: ['web', 'todo', ISSUER] })
  const signer = await makeSigner()
  await makeKeyClient(env, 'signer', { jwks: jwksOf(signer) }, every)
  await makeKeyClient(env, 'plain-signer', { jwks: jwksOf(signer) }, ['todo:read'])
  const cluster = { name: 'cluster', issuer: 'https://cluster.test', jwks: jwksOf(signer) }
  await api.call('/admin/issuers', { json: cluster, headers: basicAuthorization(able) })
  await makeKeyClient(env, 'pod', { binding: { issuer: 'cluster', subject: SUBJECT } }, every)
  await makeKeyClient(env, 'plain-pod', { binding: { issuer: 'cluster', subject: `${SUBJECT}-plain` } }, ['todo:read'])

  const signIn = async (name: string, audience = 'web') => (await api.tokens(name, PASSWORD, { audience })).access_token
  const administration = async () =>
    (await api.tokens('root', PASSWORD, { audience: ISSUER, scope: 'admin' })).access_token
  const own = async (client: typeof able, form: Record<string, string>): Promise<string> =>
    (
      await api.call('/token', {
        form: { grant_type: 'client_credentials', ...form },
        headers: basicAuthorization(client),
      })
    ).body.access_token
  const bearer = async (token: Promise<string> | string): Promise<Call> => ({ bearer: await token })
  const bent = async (name: string, changes: object) => {
    const claims = claimsOf(await signIn(name))
    return new Forger(JWT_SECRET, claims, '', key).withClaims(changes)
  }
  const ada = claimsOf(await signIn('ada'))
  /** Signed with the shared key, which every verifier has. Only the service can make a genuine `jti`. */
  const forged = (changes: object) =>
    new Forger(JWT_SECRET, ada, '').withClaims({ ...changes, jti: randomBytes(16).toString('base64url') })
  const exchanged = async (audience: string) =>
    (await exchange(api, gateway, await signIn('ada'), { audience })).body.access_token as string
  const signed = async (id: string, changes: object = {}) => ({ json: asserted(await assertion(signer, id, changes)) })
  /** The token of a Kubernetes service account. */
  const projected = async (sub: string, changes: object = {}) => {
    const claims = { iss: cluster.issuer, sub, aud: [ISSUER], iat: secondsNow(), exp: secondsNow() + 600 }
    return { json: asserted(await sign(signer, { ...claims, ...changes })) }
  }

  const all: Record<string, Credential> = {
    'no credentials': { who: 'nobody', make: () => ({}) },
    'a person': { who: 'person', aud: 'web', make: () => bearer(signIn('ada')) },
    'a person, for ISSUER': { who: 'person', aud: ISSUER, make: () => bearer(signIn('ada', ISSUER)) },
    'another person': { who: 'person', aud: 'web', make: () => bearer(signIn('eve')) },
    'a person, for another audience': { who: 'person', aud: 'todo', make: () => bearer(signIn('ada', 'todo')) },
    'an administrator': { who: 'person', aud: ISSUER, administrates: true, make: () => bearer(administration()) },
    'an administrator, with an ordinary token': {
      who: 'person',
      aud: ISSUER,
      make: () => bearer(signIn('root', ISSUER)),
    },
    'an administrator, forged with the shared secret': {
      who: 'person',
      aud: ISSUER,
      administrates: true,
      isBad: true,
      make: async () => {
        const claims = { ...claimsOf(await administration()), jti: randomBytes(16).toString('base64url') }
        return bearer(new Forger(JWT_SECRET, claims, '').token())
      },
    },
    "an administrator's token, exchanged": {
      who: 'person',
      aud: ISSUER,
      isExchanged: true,
      make: async () =>
        bearer((await exchange(api, gateway, await administration(), { audience: ISSUER })).body.access_token),
    },
    'a person, expired': {
      who: 'person',
      aud: 'web',
      isBad: true,
      make: () => bearer(bent('ada', { iat: secondsNow() - 600, exp: secondsNow() - 1 })),
    },
    'a person, of another issuer': {
      who: 'person',
      aud: 'web',
      isBad: true,
      make: () => bearer(bent('ada', { iss: 'http://elsewhere.test' })),
    },
    'a person, signed out': {
      who: 'person',
      aud: 'web',
      isBad: true,
      make: async () => {
        const token = await signIn('ada')
        await api.logout(token)
        return { bearer: token }
      },
    },
    'a person, forged with the shared secret': {
      who: 'person',
      aud: 'web',
      isBad: true,
      make: () => bearer(forged({ roles: ['admin'], scope: 'admin introspect recovery' })),
    },
    'a client, forged with the shared secret': {
      who: 'client',
      way: 'bearer',
      aud: ISSUER,
      scopes: every,
      isBad: true,
      make: () => {
        const { sid: _, auth_time: _a, amr: _b, acr: _c, ...claims } = ada as unknown as Record<string, unknown>
        const changed = { ...claims, sub: 'able', client_id: 'able', aud: ISSUER, scope: every.join(' ') }
        return bearer(
          new Forger(JWT_SECRET, changed as never, '').withClaims({ jti: randomBytes(16).toString('base64url') }),
        )
      },
    },
    'a client, with a wrong secret': {
      who: 'client',
      way: 'secret',
      scopes: every,
      isBad: true,
      make: () => ({ headers: basicAuthorization({ ...able, secret: 'wrong' }) }),
    },
    'a client without the scope': {
      who: 'client',
      way: 'secret',
      scopes: ['todo:read'],
      make: () => ({ headers: basicAuthorization(plain) }),
    },
    'a client with the scope': {
      who: 'client',
      way: 'secret',
      scopes: every,
      make: () => ({ headers: basicAuthorization(able) }),
    },
    "a client's bearer token with the scope": {
      who: 'client',
      way: 'bearer',
      aud: ISSUER,
      scopes: every,
      make: () => bearer(own(able, { scope: every.join(' '), audience: ISSUER })),
    },
    "a client's bearer token without the scope": {
      who: 'client',
      way: 'bearer',
      aud: ISSUER,
      scopes: [],
      make: () => bearer(own(able, { audience: ISSUER })),
    },
    "a client's bearer token for another audience": {
      who: 'client',
      way: 'bearer',
      aud: 'todo',
      scopes: [],
      make: () => bearer(own(plain, { audience: 'todo' })),
    },
    // The service never issues this one. It has a genuine `jti`, so that only the audience is wrong.
    "a client's bearer token with the scope, for another audience": {
      who: 'client',
      way: 'bearer',
      aud: 'todo',
      scopes: every,
      make: async () => {
        const claims = claimsOf(await own(able, { scope: every.join(' '), audience: ISSUER }))
        return bearer(new Forger(JWT_SECRET, claims, '', key).withClaims({ aud: 'todo' }))
      },
    },
    'an assertion of a client with the scope': {
      who: 'client',
      way: 'assertion',
      scopes: every,
      make: () => signed('signer'),
    },
    'an assertion of a client without the scope': {
      who: 'client',
      way: 'assertion',
      scopes: ['todo:read'],
      make: () => signed('plain-signer'),
    },
    'an assertion by a trusted service account with the scope': {
      who: 'client',
      way: 'assertion',
      scopes: every,
      make: () => projected(SUBJECT),
    },
    'an assertion by a trusted service account without the scope': {
      who: 'client',
      way: 'assertion',
      scopes: ['todo:read'],
      make: () => projected(`${SUBJECT}-plain`),
    },
  }
  for (const [what, changes] of Object.entries({
    'an assertion that has expired': { iat: secondsNow() - 600, exp: secondsNow() - 60 },
    'an assertion for another audience': { aud: 'https://elsewhere.test' },
    'an assertion of another issuer': { iss: 'nobody' },
  })) {
    all[what] = { who: 'client', way: 'assertion', scopes: every, isBad: true, make: () => signed('signer', changes) }
  }
  for (const [what, [subject, changes]] of Object.entries<[string, object]>({
    'an assertion by a service account that no client is bound to': ['system:serviceaccount:shop:stranger', {}],
    'an assertion by a trusted service account, for another audience': [SUBJECT, { aud: ['https://elsewhere.test'] }],
    'an assertion by a trusted service account, expired': [
      SUBJECT,
      { iat: secondsNow() - 700, exp: secondsNow() - 60 },
    ],
    'an assertion by a service account of an unknown issuer': [SUBJECT, { iss: 'https://stranger.test' }],
  })) {
    all[what] = {
      who: 'client',
      way: 'assertion',
      scopes: every,
      isBad: true,
      make: () => projected(subject, changes),
    }
  }
  all['an assertion that was used before'] = {
    who: 'client',
    way: 'assertion',
    scopes: every,
    isBad: true,
    make: async () => {
      const call = await signed('signer')
      await api.call('/token', { json: { ...call.json, grant_type: 'client_credentials' } })
      return call
    },
  }
  for (const aud of ['web', 'todo', ISSUER]) {
    all[`an exchanged token for ${aud}`] = {
      who: 'person',
      aud,
      isExchanged: true,
      make: () => bearer(exchanged(aud)),
    }
  }
  return { all }
}

/** The schemes of OpenAPI that a route accepts. The API page sends what is authorised for these, and nothing else. */
function acceptedSchemes(name: string, credentials: Credential[]): string[] {
  const rule = RULES.find(([pattern]) => pattern.test(name))?.[1]
  const accepts = (who: string, way?: string) =>
    credentials.some((each) => each.who === who && each.way === way && rule?.(each))
  return [
    ...(accepts('person') || name === 'POST /logout' ? ['bearer'] : []),
    ...(accepts('client', 'secret') || name === 'POST /revoke' ? ['basic'] : []),
    ...(accepts('client', 'bearer') ? ['clientToken'] : []),
    ...(/^POST \/(refresh|logout|logout-all)$/.test(name) ? ['refreshToken'] : []),
  ].sort()
}

/** Sends nothing but the credential: past the guards, most routes then miss a parameter. */
async function ask(api: Api, { method, path }: Route, call: Call): Promise<Answer> {
  const { json = {}, ...others } = call
  if (method !== 'GET') return api.call(path, { method, json, ...others })
  // A request without a body has the assertion as the bearer token.
  const token = (json as { client_assertion?: string }).client_assertion
  return api.call(path, { method, ...others, ...(token !== undefined && { bearer: token }) })
}

test('every route × every credential: who gets in is what the rules say, and no cell is a surprise', async (t) => {
  const { api, all, log } = await start(t)
  const victim = await api.tokens('victim', PASSWORD)
  const { paths } = (await api.call('/openapi.json')).body as {
    paths: Record<string, Record<string, { security?: Record<string, string[]>[] }>>
  }
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { security = [] }]): Route & { name: string; schemes: string[] } => ({
      schemes: security.flatMap((each) => Object.keys(each)).sort(),
      name: `${method.toUpperCase()} ${path}`,
      method: method.toUpperCase(),
      // The session of somebody else, and an account and a client that do not exist.
      path: path.startsWith('/sessions/')
        ? `/sessions/${victim.sid}`
        : path.replace('{*}', 'x').replace(/\{\w+\}/g, '9f8Hn1VnTz2cUWl0q3yJ8A'),
    })),
  )
  t.ok(routes.length > 50, `${routes.length} routes`)

  const surprises: string[] = []
  let cells = 0
  async function checkCell(route: (typeof routes)[number], what: string, credential: Credential): Promise<void> {
    // One session of each request ends with it at most, but /logout-all ends those of other requests too.
    const answer = await ask(api, route, await credential.make())
    cells += 1
    const cell = `${route.name}, ${what}: ${answer.status} ${answer.text.slice(0, 120)}`
    if (answer.status >= 500) surprises.push(cell)
    const rule = RULES.find(([pattern]) => pattern.test(route.name))?.[1]
    if (!rule) return
    const isIn = answer.status !== 401 && answer.status !== 403
    if (isIn !== rule(credential)) surprises.push(cell)
  }

  t.strictSame(
    routes.map(({ name }) => name).filter((name) => !RULES.some(([pattern]) => pattern.test(name)) && !OPEN.test(name)),
    [],
    'every route has a rule',
  )
  for (const { name, schemes } of routes) t.strictSame(schemes, acceptedSchemes(name, Object.values(all)), name)
  const endsOthers = (name: string) => name === 'POST /logout-all'
  // A GET changes nothing. So all GET routes get the same credentials, before another route can end one.
  const reused = await Promise.all(
    Object.entries(all).map(async ([what, credential]) => [what, await madeOnce(credential)] as const),
  )
  for (const route of routes.filter(({ method }) => method === 'GET')) {
    await Promise.all(reused.map(([what, credential]) => checkCell(route, what, credential)))
  }
  for (const route of routes.filter(({ method, name }) => method !== 'GET' && !endsOthers(name))) {
    await Promise.all(Object.entries(all).map(([what, credential]) => checkCell(route, what, credential)))
  }
  for (const route of routes.filter(({ name }) => endsOthers(name))) {
    for (const [what, credential] of Object.entries(all)) await checkCell(route, what, credential)
  }
  t.comment(`${cells} cells`)
  t.strictSame(surprises, [])
  t.equal(await api.isActive(victim.access_token), true, 'nobody ended the session of somebody else')
  t.equal((await api.login('victim', PASSWORD)).status, 200)
  t.strictSame(
    log.filter(({ level }) => (level as number) >= 50),
    [],
  )
})
