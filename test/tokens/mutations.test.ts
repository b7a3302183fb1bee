import { createAccessTokenCheck, sharedSecretKey, TokenError } from '@latchkey/verifier/access-token'
import fc from 'fast-check'
import { test } from 'tap'
import { secondsNow } from '../support/assertions.js'
import { base64url, otherSpellings, type SessionClaims } from '../support/hostile/forger.js'
import { Forger } from '../support/hostile/tokens.js'
import { JWT_SECRET } from '../support/service.js'
import { isAll } from '../support/size.js'

/** `npm run fuzz` runs a million mutations. */
const RUNS = Number(process.env.J36_RUNS ?? (isAll ? 20_000 : 5000))

const now = secondsNow()
const claims: SessionClaims = {
  iss: 'http://latchkey.test',
  sub: '4f7f0f4c-8a44-4a3b-9d0e-3f1f6f1f9a55',
  aud: 'http://latchkey.test',
  exp: now + 3600,
  iat: now,
  jti: 'B3kV0wXq7QG0o2x1hXc9JA',
  sid: '9f8Hn1VnTz2cUWl0q3yJ8A',
  client_id: 'latchkey',
  scope: 'todo:read',
}
const forger = new Forger(JWT_SECRET, claims, '')
const check = createAccessTokenCheck({
  issuer: claims.iss,
  audiences: [claims.aud],
  keys: [sharedSecretKey(JWT_SECRET)],
})
const genuine = [
  forger.token(),
  forger.withClaims({ jti: 'another', roles: ['admin'] }),
  forger.withHeader({ typ: 'application/at+jwt' }),
  forger.withClaims({ sub: 'another', sid: 'another', scope: '' }),
] as const

/** An index in a token of any length. Often the very end, which has spare bits. */
const anywhere = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const place = fc.oneof({ weight: 9, arbitrary: anywhere }, { weight: 1, arbitrary: fc.constant(1 - Number.EPSILON) })
const at = (token: string, part: number) => Math.floor(part * token.length)
const inAlphabet = fc.constantFrom(...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')
const outsideIt = fc.constantFrom(...'.=+/ \t\n\r\0%"{}[],:é\u200b\ufeff')
const character = fc.oneof({ weight: 3, arbitrary: inAlphabet }, { weight: 1, arbitrary: outsideIt })

function spliced(token: string, from: number, removed: number, inserted: string): string {
  return token.slice(0, from) + inserted + token.slice(from + removed)
}

/** The token with one of its three segments replaced. */
function withSegment(token: string, index: number, replace: (segment: string) => string): string {
  return token
    .split('.')
    .map((segment, i) => (i === index ? replace(segment) : segment))
    .join('.')
}

function withMember(segment: string, name: string, value: unknown): string {
  let object: unknown
  try {
    object = JSON.parse(Buffer.from(segment, 'base64url').toString())
  } catch {
    return segment
  }
  return base64url({ ...(object as object), [name]: value })
}

/** A kind of mutation with its weight and its input. */
const kind = <Drawn>(weight: number, drawn: fc.Arbitrary<Drawn>, mutate: (token: string, drawn: Drawn) => string) => ({
  weight,
  arbitrary: drawn.map((value) => (token: string) => mutate(token, value)),
})

const segment = fc.constantFrom(0, 1, 2)
const names = fc.constantFrom('alg', 'typ', 'kid', ...Object.keys(claims), 'nbf', 'roles', 'crit', 'jwk', '__proto__')
const bytes = fc.uint8Array({ maxLength: 64 })
const mutation = fc.oneof(
  kind(2, fc.tuple(place, character), (token, [p, c]) => spliced(token, at(token, p), 1, c)),
  kind(1, fc.tuple(place, character), (token, [p, c]) => spliced(token, at(token, p), 0, c)),
  kind(1, fc.tuple(place, fc.nat(8)), (token, [p, length]) => spliced(token, at(token, p), length + 1, '')),
  kind(1, fc.tuple(place, place, fc.nat(40)), (token, [p, q, length]) => {
    const from = at(token, p)
    return spliced(token, at(token, q), 0, token.slice(from, from + length + 1))
  }),
  kind(2, fc.tuple(place, place), (token, [p, q]) => {
    const [a, b] = [at(token, p), at(token, q)]
    return spliced(spliced(token, a, 1, token.charAt(b)), b, 1, token.charAt(a))
  }),
  kind(2, place, (token, p) => {
    const c = token.charAt(at(token, p))
    return spliced(token, at(token, p), 1, c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase())
  }),
  kind(1, place, (token, p) => token.slice(0, at(token, p))),
  kind(1, place, (token, p) => token.slice(at(token, p))),
  kind(8, fc.tuple(segment, place, fc.nat(7)), (token, [index, p, bit]) =>
    withSegment(token, index, (text) => {
      const flipped = Buffer.from(text, 'base64url')
      const byte = Math.floor(p * flipped.length)
      if (flipped.length > 0) flipped.writeUInt8(flipped.readUInt8(byte) ^ (1 << bit), byte)
      return flipped.toString('base64url')
    }),
  ),
  kind(1, fc.tuple(segment, fc.nat(14)), (token, [index, nth]) =>
    withSegment(token, index, (text) => otherSpellings(text)[nth] ?? text),
  ),
  kind(4, fc.tuple(segment, fc.constantFrom(...genuine), segment), (token, [index, other, from]) =>
    withSegment(token, index, () => other.split('.')[from] as string),
  ),
  kind(8, fc.tuple(fc.constantFrom(0, 1), names, fc.jsonValue({ maxDepth: 2 })), (token, [index, name, value]) =>
    withSegment(token, index, (text) => withMember(text, name, value)),
  ),
  kind(2, fc.tuple(segment, bytes), (token, [index, other]) =>
    withSegment(token, index, () => base64url(Buffer.from(other))),
  ),
)

test(`J36: none of ${RUNS} random mutations of a valid token is accepted`, { timeout: 3_600_000 }, async (t) => {
  for (const token of genuine) t.ok(check(token), 'unchanged it is taken')
  const codes: Record<string, number> = {}
  const mutated = fc
    .tuple(fc.constantFrom(...genuine), fc.array(mutation, { minLength: 1, maxLength: 2 }))
    .map(([token, mutations]) => mutations.reduce((mutant, mutate) => mutate(mutant), token))

  fc.assert(
    fc.property(mutated, (token) => {
      fc.pre(!genuine.some((each) => each === token))
      try {
        check(token)
      } catch (error) {
        // Any other error would be a 500.
        if (!(error instanceof TokenError)) throw error
        codes[error.code] = (codes[error.code] ?? 0) + 1
        return
      }
      throw new Error('it was taken')
    }),
    { numRuns: RUNS },
  )

  const total = Object.values(codes).reduce((sum, count) => sum + count, 0)
  t.equal(total, RUNS)
  t.ok((codes.bad_signature ?? 0) > RUNS / 10, 'and no small part gets as far as the signature')
  t.comment(JSON.stringify(codes))
})
