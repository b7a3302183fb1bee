import { clientRevocationKey, epochKey, feedKey } from '@latchkey/verifier/redis-keys'
import { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { CLIENT } from '../support/service.js'
import {
  countCommand,
  redisClient,
  startVerifier,
  startVerifierSetup,
  type VerifierSetup,
  verdict,
  verdictOnce,
} from '../support/verifier-setup.js'

async function clientToken({ service: { api } }: VerifierSetup): Promise<string> {
  const form = { grant_type: 'client_credentials', client_id: CLIENT.id, client_secret: CLIENT.secret }
  return (await api.call('/token', { form })).body.access_token
}

/** Entries that no service writes. `C` stands for the client, `S` for a live session. */
const MALFORMED: Record<string, string[]> = {
  'nbf is a word': ['sub', 'C', 'nbf', 'x'],
  'nbf is empty': ['sub', 'C', 'nbf', ''],
  'nbf is negative': ['sub', 'C', 'nbf', '-1'],
  'nbf is NaN': ['sub', 'C', 'nbf', 'NaN'],
  'nbf is Infinity': ['sub', 'C', 'nbf', 'Infinity'],
  'nbf is huge': ['sub', 'C', 'nbf', '9'.repeat(400)],
  'nbf has an exponent': ['sub', 'C', 'nbf', '1e20'],
  'nbf has a fraction': ['sub', 'C', 'nbf', '1.5'],
  'nbf has a space before it': ['sub', 'C', 'nbf', ' 1'],
  'nbf is hexadecimal': ['sub', 'C', 'nbf', '0x7fffffff'],
  'nbf is missing': ['sub', 'C'],
  'nbf comes without sub': ['nbf', '1'],
  'sub is empty': ['sub', '', 'nbf', '1'],
  'sub is there twice': ['sub', 'D', 'sub', 'E', 'nbf', '1'],
  'nbf is there twice': ['sub', 'D', 'nbf', '1', 'nbf', '2'],
  'sid is empty': ['sid', ''],
  'sid has a space': ['sid', 'a b'],
  'the field is unknown': ['client_id', 'C', 'issued_until', '1'],
  'the field has no name': ['', ''],
  'hb is a word': ['hb', 'soon', 'n', 'x'],
  'hb is negative': ['hb', '-5', 'n', 'x'],
  'hb is nothing': ['hb', '0', 'n', 'x'],
  'hb is two milliseconds': ['hb', '2', 'n', 'x'],
  'hb is a year': ['hb', '31536000000', 'n', 'x'],
  'hb is huge': ['hb', '9'.repeat(400), 'n', 'x'],
}

test('a malformed entry of the feed is skipped and counted, and makes no revoked token valid', async (t) => {
  const setting = await startVerifierSetup(t)
  const { redis, admin, service, signIn } = setting
  const [one, other] = [await signIn(), await signIn()]
  const ofClient = await clientToken(setting)
  const verifier = await startVerifier(t, { mode: 'follow', redis: redis.url, maxStaleness: 10_000 })
  await service.api.call('/revoke', { form: { token: ofClient } })
  await service.api.logout(one.access_token)
  await eventually(async () => (await verdict(verifier, ofClient)) === 'revoked')
  await eventually(async () => (await verdict(verifier, one.access_token)) === 'revoked')
  t.equal(verifier.malformedFeedEntries, 0)

  let written = 0
  for (const [what, fields] of Object.entries(MALFORMED)) {
    await admin.xadd(feedKey, '*', ...fields.map((field) => (field === 'C' ? CLIENT.id : field)))
    written += 1
    await eventually(() => verifier.malformedFeedEntries === written).catch(() => t.fail(`${what}: it is not counted`))
    t.equal(await verdict(verifier, ofClient), 'revoked', what)
    t.equal(await verdict(verifier, one.access_token), 'revoked', what)
    t.equal(await verdict(verifier, other.access_token), 'good', what)
  }
  // The retention has not become shorter: no additional token is looked up.
  const before = await countCommand(admin, 'exists')
  t.equal(await verdict(verifier, other.access_token), 'good')
  t.equal(await countCommand(admin, 'exists'), before)
})

test('the readable part of a malformed entry takes effect', async (t) => {
  const { redis, admin, signIn } = await startVerifierSetup(t)
  const [one, other] = [await signIn(), await signIn()]
  const verifier = await startVerifier(t, { mode: 'follow', redis: redis.url })
  await admin.xadd(feedKey, '*', 'sid', '', 'sid', one.sid, 'what', 'ever', 'sub', 'x', 'nbf', 'y', 'sid', other.sid)
  await eventually(async () => (await verdict(verifier, one.access_token)) === 'revoked')
  t.equal(await verdict(verifier, other.access_token), 'revoked')
  t.equal(verifier.malformedFeedEntries, 1)
})

for (const value of ['', 'x', '-5', 'NaN', '1e3', ' ', '0x0', '9'.repeat(400)]) {
  test(`a revocation time ${JSON.stringify(value.slice(0, 9))} in Redis makes every token of the client 503`, async (t) => {
    const setting = await startVerifierSetup(t)
    const { redis, service } = setting
    // The service writes a missing epoch again, and not a wrong one.
    const admin = redisClient(t, redis.url)
    const verifier = await startVerifier(t, { mode: 'lookup', redis: redis.url })
    const token = await clientToken(setting)
    t.equal(await verdict(verifier, token), 'good')

    const key = clientRevocationKey(CLIENT.id)
    await admin.set(key, value)
    t.equal(await verdictOnce(verifier, token), 'unavailable')
    t.equal((await service.once.introspect(token)).status, 503)
    // The next revocation stores a valid time.
    t.equal((await service.api.call('/revoke', { form: { token } })).status, 200)
    t.equal(await verdict(verifier, token), 'revoked')
    t.equal(await service.api.isActive(token), false)

    await admin.del(key)
    const epoch = await admin.get(epochKey)
    await admin.set(epochKey, value)
    t.equal(await verdictOnce(verifier, token), 'unavailable')
    t.equal((await service.once.introspect(token)).status, 503)
    await admin.set(epochKey, epoch as string)
    t.equal(await verdict(verifier, token), 'good')
  })
}
