import { createHmac } from 'node:crypto'
import { test } from 'tap'
import { refusedAnswers } from '../support/endpoints.js'
import { otherSpellings } from '../support/hostile/forger.js'
import { JWT_SECRET, PASSWORD, REFRESH_SECRET, startService, stores } from '../support/service.js'

const ISSUER = 'http://latchkey.test'
const PREFIX = 'lkr_'
/** The bytes of a token: user 16, session 16, generation 6, key id 4, MAC 32. */
const GENERATION_END = 38
const MAC_BEGIN = 42
const LENGTH = 74

const bytesOf = (token: string) => Buffer.from(token.slice(PREFIX.length), 'base64url')
const tokenOf = (bytes: Buffer) => PREFIX + bytes.toString('base64url')

function flipped(token: string, index: number, bit: number): string {
  const bytes = bytesOf(token)
  bytes.writeUInt8(bytes.readUInt8(index) ^ (1 << bit), index)
  return tokenOf(bytes)
}

/** The token with the attacker's payload and this MAC. */
function forged(token: string, change: (grant: Buffer) => void, mac?: (grant: Buffer) => Buffer): string {
  const bytes = bytesOf(token)
  const grant = Buffer.from(bytes.subarray(0, GENERATION_END))
  change(grant)
  const keyId = bytes.subarray(GENERATION_END, MAC_BEGIN)
  return tokenOf(Buffer.concat([grant, keyId, mac?.(grant) ?? bytes.subarray(MAC_BEGIN)]))
}

const raised = (by: number) => (grant: Buffer) => grant.writeUIntBE(grant.readUIntBE(32, 6) + by, 32, 6)
const macWith = (key: string, context: string) => (grant: Buffer) =>
  createHmac('sha256', key).update(context).update(grant).digest()
const CONTEXT = `latchkey refresh token\0${ISSUER}\0`

/** Whether the token is well-formed and names an unknown key. */
function namesAnotherKey(token: string, other: string): boolean {
  const keyIdOf = (token: string) => bytesOf(token).subarray(GENERATION_END, MAC_BEGIN)
  const isOfForm = bytesOf(token).length === LENGTH && tokenOf(bytesOf(token)) === token
  return isOfForm && !keyIdOf(token).equals(keyIdOf(other))
}

/** Refresh tokens with one defect each, by the defect. */
function hostileRefreshTokens(token: string, another: string): Map<string, string> {
  const list = new Map<string, string>()
  const { length } = token
  for (let cut = 1; cut < length; cut++) list.set(`cut to ${cut} characters`, token.slice(0, cut))
  for (let cut = 1; cut < length; cut++) list.set(`without its first ${cut} characters`, token.slice(cut))
  for (let index = 0; index < LENGTH; index++) {
    list.set(`a bit of byte ${index} flipped`, flipped(token, index, index % 8))
  }
  for (const other of otherSpellings(token.slice(PREFIX.length)))
    list.set(`spare bits: ${other.at(-1)}`, PREFIX + other)

  const base64 = PREFIX + bytesOf(token).toString('base64')
  for (const [what, text] of Object.entries({
    'padded with =': `${token}=`,
    'padded with ==': `${token}==`,
    'in base64 with padding': base64,
    'in hex': PREFIX + bytesOf(token).toString('hex'),
    'in capitals': token.toUpperCase(),
    'in small letters': token.toLowerCase(),
    'in other case': token.replace(/[a-z]/gi, (c) => (c < 'a' ? c.toLowerCase() : c.toUpperCase())),
    'the prefix in capitals': `LKR_${token.slice(4)}`,
    'the prefix twice': PREFIX + token,
    'another prefix': `lka_${token.slice(4)}`,
    'a character more': `${token}A`,
    'a character more before': `A${token}`,
    'a byte more': tokenOf(Buffer.concat([bytesOf(token), Buffer.alloc(1)])),
    'a space behind': `${token} `,
    'a space before': ` ${token}`,
    'a new line behind': `${token}\n`,
    'NUL behind': `${token}\0`,
    'a space within': `${token.slice(0, 40)} ${token.slice(40)}`,
    'a dot within': `${token.slice(0, 40)}.${token.slice(40)}`,
    twice: token + token,
    quoted: `"${token}"`,
    'percent-encoded': token.replace('_', '%5F'),
    'a full-width letter': token.replace('l', '\uff4c'),
    'nothing but the prefix': PREFIX,
    zeroes: tokenOf(Buffer.alloc(LENGTH)),
    'the MAC zeroed': forged(
      token,
      () => {},
      () => Buffer.alloc(32),
    ),
    'the MAC of another session': forged(
      token,
      () => {},
      () => bytesOf(another).subarray(MAC_BEGIN),
    ),
    'a plain hash for a MAC': forged(token, () => {}, macWith('', CONTEXT)),
    'a MAC with the JWT secret': forged(token, () => {}, macWith(JWT_SECRET, CONTEXT)),
    'a MAC for no purpose': forged(token, () => {}, macWith(REFRESH_SECRET, '')),
    'a MAC for another issuer': forged(token, () => {}, macWith(REFRESH_SECRET, CONTEXT.replace('test', 'evil'))),
    'the generation raised': forged(token, raised(1)),
    'the generation raised by 1000': forged(token, raised(1000)),
    'the generation raised to the last': forged(token, (grant) => grant.fill(0xff, 32, 38)),
    'the user of another': forged(token, (grant) => bytesOf(another).copy(grant, 0, 0, 16)),
    'the session of another': forged(token, (grant) => bytesOf(another).copy(grant, 16, 16, 32)),
  })) {
    list.set(what, text)
  }
  return list
}

for (const store of stores) {
  test(`hostile refresh tokens on ${store}: each gets the same refusal, and the session stays live`, async (t) => {
    const { api, log } = await startService(t, store, { LOG_LEVEL: 'warn' })
    await api.signUp('ada', PASSWORD)
    await api.signUp('bob', PASSWORD)
    const hers = await api.tokens('ada', PASSWORD)
    const his = await api.tokens('bob', PASSWORD)
    t.equal(tokenOf(bytesOf(hers.refresh_token)), hers.refresh_token, 'taken apart and put together it is the same')
    const genuine = forged(hers.refresh_token, () => {}, macWith(REFRESH_SECRET, CONTEXT))
    t.equal(genuine, hers.refresh_token, 'nor does this test forge MACs in another way than the service')

    const wrong: Record<string, unknown> = {}
    for (const [what, token] of hostileRefreshTokens(hers.refresh_token, his.refresh_token)) {
      const answers = await Promise.all([
        api.refresh(token),
        api.call('/refresh', { form: { refresh_token: token } }),
        ...(/^[!-~]+$/.test(token) ? [api.call('/refresh', { method: 'POST', bearer: token })] : []),
      ])
      for (const { status, text } of answers) {
        if (`${status} ${text}` !== refusedAnswers['refresh, in the body']) wrong[what] = `${status} ${text}`
      }
      // A token of an unknown key may be genuine, so a 204 would be a false promise.
      const right = namesAnotherKey(token, hers.refresh_token) ? 401 : 204
      const signedOut = await api.call('/logout', { json: { token } })
      if (signedOut.status !== right) wrong[`${what}, at logout`] = signedOut.status
      const everywhere = await api.call('/logout-all', { json: { token } })
      if (everywhere.status !== 401) wrong[`${what}, at logout-all`] = everywhere.status
    }

    t.strictSame(wrong, {})
    t.equal(await api.isActive(hers.access_token), true)
    t.equal(await api.isActive(his.access_token), true)
    t.equal((await api.refresh(genuine)).status, 200, 'the genuine one has not been spent')
    t.strictSame(
      log.filter(({ level }) => (level as number) >= 50),
      [],
      'no fault was logged',
    )
  })
}

test('a refresh token without a session is refused like a forged one', async (t) => {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const { access_token, refresh_token } = await api.tokens('ada', PASSWORD)
  t.equal((await api.logout(access_token)).status, 204)
  // A live session accepts a newer generation. This must not bring a session back.
  const newer = forged(refresh_token, raised(5), macWith(REFRESH_SECRET, CONTEXT))
  const last = forged(refresh_token, (grant) => grant.fill(0xff, 32, 38), macWith(REFRESH_SECRET, CONTEXT))

  for (const token of [refresh_token, newer, last]) {
    const { status, text } = await api.refresh(token)
    t.equal(`${status} ${text}`, refusedAnswers['refresh, in the body'])
  }
})
