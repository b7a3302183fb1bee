import { randomUUID } from 'node:crypto'
import { test } from 'tap'
import { createRefreshTokens, type RefreshTokenPayload } from '../../src/sessions/refresh-token.js'
import { newSid } from '../../src/sessions/session.js'
import { createAccessTokens } from '../../src/tokens/access-tokens.js'
import { createJtiMac } from '../../src/tokens/jti-mac.js'
import { createSecretKeyRing } from '../../src/tokens/key-ring.js'
import { isAll } from '../support/size.js'

const IDS = isAll ? 500_000 : 50_000
const ISSUER = 'https://auth.example.com'
const OLD = 'old-key-3Hs6Gp0YjWq9Ea2Rt7Uy4Io1Pl5Kx8'
const NEW = 'new-key-9fKq2Lx7Zr4Vb1Nc8Mw5Td3Hs6Gp0Yj'
const GRANT: RefreshTokenPayload = {
  sub: '0b0e5b7c-6f3f-4d5e-9d2a-1c2b3a4d5e6f',
  sid: 'AAECAwQFBgcICQoLDA0ODw',
  generation: 7,
}

test('the same payload has the same token in every process, byte for byte', async (t) => {
  const token = createRefreshTokens([OLD], ISSUER).mint(GRANT)

  t.equal(createRefreshTokens([OLD], ISSUER).mint({ ...GRANT }), token)
  // Fixed text: a change of the format signs everybody out.
  t.equal(
    token,
    'lkr_Cw5bfG8_TV6dKhwrOk1ebwABAgMEBQYHCAkKCwwNDg8AAAAAAAf5myh-NMmwpODzguXGq52CDi2GbtYOAgkGFvlERXZ5Ey0OH28',
  )
  t.strictSame(createRefreshTokens([OLD], ISSUER).read(token), GRANT)
})

test('a minted token is read, for any user, session and generation', async (t) => {
  const tokens = createRefreshTokens([OLD], ISSUER)
  const generations = [0, 1, 255, 256, 2 ** 31, 2 ** 32, 2 ** 47, 2 ** 48 - 2]
  const grants = generations.flatMap((generation) =>
    Array.from({ length: 50 }, () => ({ sub: randomUUID(), sid: newSid(), generation })),
  )

  const minted = grants.map((grant) => tokens.mint(grant))

  t.strictSame(
    minted.map((token) => tokens.read(token)),
    grants,
  )
  t.equal(new Set(minted).size, grants.length)
  for (const token of minted) t.match(token, /^lkr_[\w-]{99}$/)
})

test('the last generation that fits is refused, because its successor would not fit', async (t) => {
  const tokens = createRefreshTokens([OLD], ISSUER)

  t.equal(tokens.read(tokens.mint({ ...GRANT, generation: 2 ** 48 - 1 })), undefined)
})

test('keys rotate: the first key mints, all keys read, and a removed key reads nothing', async (t) => {
  const before = createRefreshTokens([OLD], ISSUER)
  const during = createRefreshTokens([NEW, OLD], ISSUER)
  const after = createRefreshTokens([NEW], ISSUER)

  t.strictSame(during.read(before.mint(GRANT)), GRANT)
  t.equal(during.mint(GRANT), after.mint(GRANT))
  t.strictSame(after.read(during.mint(GRANT)), GRANT)
  t.equal(after.read(before.mint(GRANT)), undefined)
  t.equal(before.read(during.mint(GRANT)), undefined)
  t.equal(after.readForRevocation(before.mint(GRANT)), 'unknown_key', 'which may be genuine')
  t.equal(before.readForRevocation(during.mint(GRANT)), 'unknown_key')
  t.strictSame(during.readForRevocation(before.mint(GRANT)), GRANT)
})

test('J26: the token of another issuer is refused, even under the same key', async (t) => {
  const token = createRefreshTokens([OLD], 'https://auth.staging.example.com').mint(GRANT)

  t.equal(createRefreshTokens([OLD], ISSUER).read(token), undefined)
  t.equal(createRefreshTokens([OLD], ISSUER).readForRevocation(token), undefined)
})

test('a token has one spelling: every other character, length, padding or space is refused', async (t) => {
  const tokens = createRefreshTokens([OLD], ISSUER)
  const token = tokens.mint(GRANT)
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n\0é'
  let accepted = 0

  for (let at = 0; at < token.length; at += 1) {
    for (const character of alphabet) {
      if (character === token[at]) continue
      if (tokens.read(token.slice(0, at) + character + token.slice(at + 1))) accepted += 1
      if (tokens.read(token.slice(0, at) + character + token.slice(at))) accepted += 1
    }
    if (tokens.read(token.slice(0, at) + token.slice(at + 1))) accepted += 1
    if (tokens.read(token.slice(0, at))) accepted += 1
  }

  t.equal(accepted, 0)
  for (const other of [
    '',
    'lkr_',
    `${token}=`,
    `${token}==`,
    ` ${token}`,
    `${token}\n`,
    token.slice(4),
    token + token,
  ]) {
    t.equal(tokens.read(other), undefined, JSON.stringify(other))
  }
  const standard = token.slice(4).replaceAll('-', '+').replaceAll('_', '/')
  if (standard !== token.slice(4)) t.equal(tokens.read(`lkr_${standard}`), undefined)
  t.equal(tokens.read(token.toUpperCase()), undefined)
})

test('the MAC covers user, session and generation: no part of one token fits another', async (t) => {
  const tokens = createRefreshTokens([OLD], ISSUER)
  const bytes = (token: string) => Buffer.from(token.slice(4), 'base64url')
  const mine = bytes(tokens.mint(GRANT))
  for (const other of [
    { ...GRANT, sub: randomUUID() },
    { ...GRANT, sid: newSid() },
    { ...GRANT, generation: 8 },
  ]) {
    const theirs = bytes(tokens.mint(other))
    const spliced = Buffer.concat([theirs.subarray(0, 38), mine.subarray(38)])
    t.equal(tokens.read(`lkr_${spliced.toString('base64url')}`), undefined)
  }
})

test(`R14: ${IDS} session ids and as many token ids never repeat`, async (t) => {
  const jtis: string[] = []
  const { issue } = createAccessTokens({
    issuer: ISSUER,
    audiences: ['todo'],
    ring: createSecretKeyRing(['a secret that signs nothing in this test']),
    jtiMac: createJtiMac(['a secret that makes MACs in this test']),
    accessTtl: 900_000,
    sign: ({ jti }) => {
      jtis.push(jti)
      return ''
    },
  })
  const grant = { ...GRANT, clientId: 'latchkey', scope: '', audience: 'todo', roles: [], expiresAt: Date.now() + 1e6 }
  const ids = new Set<string>()

  for (let i = 0; i < IDS; i += 1) {
    ids.add(newSid())
    issue(grant)
  }
  for (const jti of jtis) ids.add(jti)

  t.equal(ids.size, 2 * IDS)
  for (const id of [newSid(), jtis[0]]) t.match(id, /^[\w-]{22}$/)
})
