import { Secret, TOTP } from 'otpauth'
import { test } from 'tap'
import { newRecoveryCode, recoveryCodeHash } from '../../src/factors/recovery-codes.js'
import { createSealing } from '../../src/factors/sealing.js'
import { findTotpStep, newTotpSecret, totpUri } from '../../src/factors/totp.js'
import { Unavailable } from '../../src/unavailable.js'

// RFC 6238, appendix B: SHA-1. The codes there have 8 digits; the last 6 are the code of 6 digits.
const VECTORS = [
  [59, '94287082'],
  [1111111109, '07081804'],
  [1111111111, '14050471'],
  [1234567890, '89005924'],
  [2000000000, '69279037'],
  [20000000000, '65353130'],
] as const
const SECRET = Buffer.from('12345678901234567890')

test('TOTP: the vectors of RFC 6238, appendix B', async (t) => {
  const secret = new Secret({ buffer: new Uint8Array(SECRET).buffer }).base32
  for (const [seconds, code] of VECTORS) {
    t.equal(findTotpStep(secret, code.slice(-6), seconds * 1000), Math.floor(seconds / 30), String(seconds))
    t.equal(findTotpStep(secret, code, seconds * 1000), undefined, '8 digits are not a code')
  }
})

test('M2: a code counts in its step, one before and one after, and no further', async (t) => {
  const secret = newTotpSecret()
  const now = 1_795_290_015_000
  const code = (drift: number) =>
    new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: now + drift * 30_000 })
  const accepted = [-3, -2, -1, 0, 1, 2, 3].filter((drift) => findTotpStep(secret, code(drift), now) !== undefined)
  t.strictSame(accepted, [-1, 0, 1])
  t.equal(findTotpStep(secret, code(1), now), Math.floor(now / 30_000) + 1, 'each code has its own step')
  t.equal(findTotpStep(secret, code(0).replace(/^.../, '$& '), now), Math.floor(now / 30_000), 'with a space')
  for (const none of ['', '12345', '1234567', 'abcdef', '１２３４５６', `${code(0)}\0`, '-12345', '1e5000']) {
    t.equal(findTotpStep(secret, none, now), undefined, JSON.stringify(none))
  }
})

test('a TOTP secret has 160 random bits, and its address says what every app knows', async (t) => {
  const secret = newTotpSecret()
  t.match(secret, /^[A-Z2-7]{32}$/)
  t.not(newTotpSecret(), secret)
  const uri = new URL(totpUri(secret, 'auth.example.com', 'ada & bob'))
  t.equal(uri.protocol, 'otpauth:')
  t.equal(decodeURIComponent(uri.pathname), '/auth.example.com:ada & bob'.replace(/^/, uri.host ? '' : '//totp'))
  t.match(Object.fromEntries(uri.searchParams), { issuer: 'auth.example.com', secret, digits: '6', period: '30' })
})

test('a recovery code has 80 random bits; case, spaces, dashes and look-alikes do not count', async (t) => {
  const codes = new Set(Array.from({ length: 1000 }, newRecoveryCode))
  t.equal(codes.size, 1000)
  for (const code of codes) t.match(code, /^(?:[0-9a-hjkmnp-tv-z]{4}-){3}[0-9a-hjkmnp-tv-z]{4}$/)
  const hash = recoveryCodeHash('ada', '0123-4567-89ab-cdef')
  for (const same of ['0123456789abcdef', ' o1i3 4567 89AB CDEF', '0L23-4567-89ab-cdef'.replace('L2', '12')]) {
    t.equal(recoveryCodeHash('ada', same.replace('i3', '23')), hash, same)
  }
  t.not(recoveryCodeHash('bob', '0123-4567-89ab-cdef'), hash, 'the code of another account')
})

test('what is sealed opens with its secret and in its place only; the first secret seals, all open', async (t) => {
  const [old, current] = ['old-9fKq2Lx7Zr4Vb1Nc8Mw5Td3Hs6Gp0Yj', 'new-3Hs6Gp0YjWq9Ea2Rt7Uy4Io1Pl5Kx8']
  const before = createSealing([old])
  const sealed = before.seal('JBSWY3DPEHPK3PXP', 'totp of ada')
  t.not(before.seal('JBSWY3DPEHPK3PXP', 'totp of ada'), sealed, 'the nonce is random')
  t.notMatch(Buffer.from(sealed, 'base64url').toString('latin1'), /JBSWY3DP/)

  const after = createSealing([current, old])
  t.equal(after.open(sealed, 'totp of ada'), 'JBSWY3DPEHPK3PXP')
  t.notOk(after.isCurrent(sealed))
  t.ok(after.isCurrent(after.seal('x', 'y')))

  t.throws(() => after.open(sealed, 'totp of bob'), Unavailable, 'moved to another row')
  t.throws(() => createSealing([current]).open(sealed, 'totp of ada'), /add the secret that sealed it/)
  const bytes = Buffer.from(sealed, 'base64url')
  for (let i = 0; i < bytes.length; i += 1) {
    const changed = Buffer.from(bytes)
    changed[i] = (changed[i] ?? 0) ^ 1
    t.throws(() => after.open(changed.toString('base64url'), 'totp of ada'), Unavailable)
  }
})
