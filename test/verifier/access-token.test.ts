import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import {
  type AccessTokenCheckOptions,
  CLOCK_LEEWAY,
  createAccessTokenCheck,
  MAX_LIFETIME,
  sharedSecretKey,
  TokenError,
} from '@latchkey/verifier/access-token'
import { test } from 'tap'
import { claimsOf } from '../support/decode.js'
import { type SessionClaims, withMembersAfter } from '../support/hostile/forger.js'
import { tokenOfLength } from '../support/hostile/payload.js'
import { byCase, Forger, type HostileToken, hostileTokens } from '../support/hostile/tokens.js'
import { JWT_SECRET } from '../support/service.js'

const now = Math.floor(Date.now() / 1000)
const claims: SessionClaims = {
  iss: 'http://latchkey.test',
  sub: '4f7f0f4c-8a44-4a3b-9d0e-3f1f6f1f9a55',
  aud: 'http://latchkey.test',
  exp: now + 900,
  iat: now,
  jti: 'B3kV0wXq7QG0o2x1hXc9JA',
  sid: '9f8Hn1VnTz2cUWl0q3yJ8A',
  client_id: 'latchkey',
  scope: 'todo:read',
}
const forger = new Forger(JWT_SECRET, claims, 'http://127.0.0.1:9')
const options: AccessTokenCheckOptions = {
  issuer: claims.iss,
  audiences: [claims.aud],
  keys: [sharedSecretKey(JWT_SECRET)],
}
const check = createAccessTokenCheck(options)

/** `taken`, the code of the TokenError, or the text of any other error. */
function verdict(checkToken: (token: string) => unknown, token: unknown): string {
  try {
    checkToken(token as string)
    return 'taken'
  } catch (error) {
    return error instanceof TokenError ? error.code : String((error as Error).stack)
  }
}

/** The tokens by case id. No two cases share a defect. */
function verdicts(checkToken: typeof check, tokens: readonly HostileToken[]): Record<string, string> {
  return Object.fromEntries(tokens.map(({ id, what, token }) => [`${id}: ${what}`, verdict(checkToken, token)]))
}

test('a genuine token returns its claims, in every spelling of its header', async (t) => {
  t.strictSame(check(forger.token()), claims)
  const { alg, typ, kid } = forger.header
  t.strictSame(check(forger.token({ header: { kid, typ, alg } })), claims)
  t.strictSame(check(forger.withHeader({ typ: 'application/at+jwt' })), claims)
  t.strictSame(check(forger.withClaims({ roles: ['a', 'b'] })), { ...claims, roles: ['a', 'b'] })
  const act = { sub: 'd', act: { sub: 'c', act: { sub: 'b', act: { sub: 'a' } } } }
  t.strictSame(check(forger.withClaims({ act })), { ...claims, act })
  const { sid: _, ...own } = { ...claims, sub: 'todo', client_id: 'todo' }
  t.strictSame(check(forger.token({ claims: own })), own, 'a client’s own has no session')
  t.strictSame(check(forger.withClaims({ nbf: now, scope: '' })), { ...claims, nbf: now, scope: '' })
  const unknown = { ...claims, note: 'a "quoted" \\ word', cnf: { jkt: [{ x: [1.5, null, '€ 😀'] }] } }
  t.strictSame(check(forger.withClaims(unknown)), unknown, 'a claim of a later version is passed on')
})

for (const [id, tokens] of byCase(hostileTokens(forger))) {
  test(`${id}: each of ${tokens.length} tokens is refused with the code of its defect`, async (t) => {
    t.strictSame(
      verdicts(check, tokens),
      Object.fromEntries(tokens.map(({ id, what, code }) => [`${id}: ${what}`, code])),
    )
    t.equal(verdict(check, forger.token()), 'taken', 'a genuine token is taken still')
  })
}

test('a check that ignores time and audience still refuses hostile tokens, except those with only that defect', async (t) => {
  const checkOrigin = createAccessTokenCheck({ ...options, ignoreTimeAndAudience: true })
  const tokens = hostileTokens(forger)
  const isIgnored = ({ code, token }: HostileToken) =>
    code === 'expired' ||
    code === 'not_yet_valid' ||
    (code === 'wrong_audience' && typeof claimsOf(token).aud === 'string')
  const codes = tokens.map((each) => [`${each.id}: ${each.what}`, isIgnored(each) ? 'taken' : each.code])
  t.strictSame(verdicts(checkOrigin, tokens), Object.fromEntries(codes))
  t.equal(new Set(tokens.map(({ id, what }) => `${id}: ${what}`)).size, tokens.length, 'no two of one name')
})

test('J18: a token is refused from its exp on, without leeway', async (t) => {
  const at = (milliseconds: number) => createAccessTokenCheck({ ...options, now: () => milliseconds })
  const token = forger.token()
  t.equal(verdict(at(claims.exp * 1000 - 1), token), 'taken')
  t.equal(verdict(at(claims.exp * 1000), token), 'expired')
  t.equal(verdict(at(claims.exp * 1000 + 1), token), 'expired')
  t.equal(verdict(at(Number.NaN), token), 'expired', 'a clock that is broken opens nothing')
})

test('J19, J20: nbf and iat may be in the future by the leeway of 5 seconds, and not by more', async (t) => {
  t.equal(CLOCK_LEEWAY, 5)
  const checkAt = createAccessTokenCheck({ ...options, now: () => now * 1000 })
  for (const name of ['nbf', 'iat']) {
    t.equal(verdict(checkAt, forger.withClaims({ [name]: now + 5 })), 'taken', `${name} 5 s ahead`)
    t.equal(verdict(checkAt, forger.withClaims({ [name]: now + 6 })), 'not_yet_valid', `${name} 6 s ahead`)
  }
  const justNot = createAccessTokenCheck({ ...options, now: () => now * 1000 - 1 })
  t.equal(verdict(justNot, forger.withClaims({ iat: now + 5 })), 'not_yet_valid', 'by the millisecond')
  t.equal(verdict(justNot, forger.withClaims({ nbf: now + 5 })), 'not_yet_valid')
})

test('J17: the longest life of a token is 24 hours', async (t) => {
  t.equal(verdict(check, forger.withClaims({ exp: now + MAX_LIFETIME })), 'taken')
  t.equal(verdict(check, forger.withClaims({ exp: now + MAX_LIFETIME + 1 })), 'bad_claims')
})

test('J12: a key is refused as soon as it is not passed any more; a weak key is refused too', async (t) => {
  const retired = 'the secret of last year, which has been rotated out'
  const old = new Forger(retired, claims, '').token()
  const overlap = createAccessTokenCheck({ ...options, keys: [JWT_SECRET, retired].map(sharedSecretKey) })
  t.equal(verdict(overlap, old), 'taken')
  t.equal(verdict(overlap, forger.token()), 'taken')
  t.equal(verdict(check, old), 'unknown_key')
  t.equal(verdict(overlap, forger.token({ secret: retired })), 'bad_signature', 'a key under the kid of another')
  for (const weak of ['', 'secret', 'x'.repeat(31), undefined, null, 32]) {
    t.throws(() => sharedSecretKey(weak as string))
  }
  t.equal(verdict(createAccessTokenCheck({ ...options, keys: [] }), forger.token()), 'unknown_key')
})

test('J21: an audience is one whole entry of the given audiences', async (t) => {
  const both = createAccessTokenCheck({ ...options, audiences: ['todo', 'notes'] })
  t.equal(verdict(both, forger.withClaims({ aud: 'notes' })), 'taken')
  for (const aud of ['', 't', 'todo,notes', 'todo notes', 'Todo', claims.aud]) {
    t.equal(verdict(both, forger.withClaims({ aud })), 'wrong_audience', aud)
  }
  t.equal(verdict(createAccessTokenCheck({ ...options, audiences: [] }), forger.token()), 'wrong_audience')
})

test('from JavaScript: a value that is not a string is malformed, whatever its conversion gives', async (t) => {
  const token = forger.token()
  const turncoat = { length: 1, toString: () => token }
  const values = [undefined, null, 0, 1n, true, Symbol('token'), {}, [], [token], () => token, turncoat]
  for (const value of [...values, Buffer.from(token), new String(token), new Uint8Array(3), Object.create(null)]) {
    t.equal(verdict(check, value), 'malformed', typeof value)
  }
})

test('from JavaScript: a check without an issuer, or with a string as audiences, throws', async (t) => {
  for (const issuer of [undefined, null, '', 1]) {
    t.throws(() => createAccessTokenCheck({ ...options, issuer: issuer as string }), TypeError)
  }
  for (const audiences of [undefined, 'todo', { 0: 'todo' }] as unknown[]) {
    t.throws(() => createAccessTokenCheck({ ...options, audiences: audiences as string[] }), TypeError)
  }
})

test('J32: a token over 8192 characters is refused before it is parsed', async (t) => {
  t.equal(verdict(check, tokenOfLength(forger, 8191)), 'taken', 'one that just fits')
  const huge = [
    tokenOfLength(forger, 8193),
    'a'.repeat(2 ** 20),
    '.'.repeat(2 ** 20),
    `${forger.token()}${'='.repeat(2 ** 20)}`,
  ]
  const rounds = 200
  const before = process.cpuUsage()
  for (let round = 0; round < rounds; round++) for (const token of huge) verdict(check, token)
  const { user, system } = process.cpuUsage(before)
  const milliseconds = (user + system) / 1000 / (rounds * huge.length)
  // A measurement gave about 5 µs on an idle core, mostly for the stack of the error.
  t.ok(milliseconds < 5, `${milliseconds} ms of CPU each`)
})

test('J33: 100,000 levels exceed the size limit, and the greatest possible depth does not overflow the stack', async (t) => {
  const deep = (levels: number) => `"note":${'['.repeat(levels)}${']'.repeat(levels)}`
  t.equal(verdict(check, forger.token({ claims: withMembersAfter(claims, deep(100_000)) })), 'malformed')
  t.equal(verdict(check, forger.token({ claims: withMembersAfter(claims, deep(7)) })), 'taken')
  t.equal(verdict(check, forger.token({ claims: withMembersAfter(claims, deep(8)) })), 'bad_claims')
})

test('a cached token is checked for its time again, and only its exact text hits the cache', async (t) => {
  let clock = now * 1000
  const remembering = createAccessTokenCheck({ ...options, now: () => clock })
  const ending = createAccessTokenCheck({ ...options, now: () => clock, ignoreTimeAndAudience: true })
  const [token, ahead] = [forger.token(), forger.withClaims({ nbf: now + 60 })]
  for (const _ of [1, 2]) {
    t.equal(verdict(remembering, token), 'taken')
    t.equal(verdict(remembering, ahead), 'not_yet_valid')
  }
  const hostile = hostileTokens(forger).filter(({ code }) => code !== 'expired' && code !== 'not_yet_valid')
  const codes = hostile.map(({ id, what, code }) => [`${id}: ${what}`, code])
  t.strictSame(verdicts(remembering, hostile), Object.fromEntries(codes))

  clock = claims.exp * 1000
  for (const _ of [1, 2]) {
    t.equal(verdict(remembering, token), 'expired')
    t.equal(verdict(ending, token), 'taken')
  }
  clock = now * 1000
  t.equal(verdict(remembering, token), 'taken')
})

test('a caller cannot change the claims that the next caller gets', async (t) => {
  const token = forger.withClaims({ roles: ['reader'], cnf: { jkt: ['x'] } })
  const { roles, cnf } = check(token) as unknown as { roles: string[]; cnf: { jkt: string[] } }
  t.throws(() => roles.push('admin'), TypeError)
  t.throws(() => cnf.jkt.push('y'), TypeError)
  t.throws(() => Object.assign(check(token), { sub: 'root' }), TypeError)
  t.strictSame(check(token), { ...claims, roles: ['reader'], cnf: { jkt: ['x'] } })
})

test('a token that is a slice of a long text does not keep the text in memory', async (t) => {
  const remembering = createAccessTokenCheck(options)
  const count = 500
  const texts = Array.from({ length: count }, (_, n) => {
    const text = Buffer.from(`${forger.withClaims({ jti: `n${n}` })}&${'x'.repeat(100_000)}`).toString()
    return text.slice(0, text.indexOf('&'))
  })
  const before = memory()
  for (const token of texts) remembering(token)
  texts.length = 0
  // The test has released the texts. Only the cache could still hold their 50 MB.
  t.ok(memory() < before - (count * 100_000) / 2)
  t.equal(verdict(remembering, forger.token()), 'taken')
})

/** Bytes in use after a garbage collection. */
function memory(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}

test('J6: many unknown kids do not evict the cached header of a genuine token', async (t) => {
  const fresh = createAccessTokenCheck(options)
  const kids = Array.from({ length: 1000 }, (_, n) => forger.withHeader({ kid: `k${n}` }))
  t.strictSame(new Set(kids.map((token) => verdict(fresh, token))), new Set(['unknown_key']))
  const [, payload, signature] = forger.token().split('.')
  const [otherHeader] = forger.withHeader({ typ: 'application/at+jwt' }).split('.')
  t.equal(verdict(fresh, forger.token()), 'taken')
  t.equal(verdict(fresh, `${otherHeader}.${payload}.${signature}`), 'bad_signature', 'a known header under another')
})
