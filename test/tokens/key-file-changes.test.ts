import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test, test } from 'tap'
import { decodeHeader } from '../support/decode.js'
import { eventually } from '../support/eventually.js'
import { jwkSet, keyFileSettings, makeKey, type PrivateKey, writeKeyFile } from '../support/keys.js'
import { PASSWORD, type RunningService, startService, temporaryFolder } from '../support/service.js'

// The tests wait for the next look at the file, so they run side by side.
t.jobs = 4

const READ = 'the key file was read: the first key signs'
const BROKEN = 'the key file is broken: the previous keys stay in use'

const linesOf = ({ log }: RunningService, msg: string) => log.filter((line) => line.msg === msg)

/** Signs in, which shows the signing key. */
async function signingKid({ api }: RunningService): Promise<string> {
  return decodeHeader((await api.tokens('ada', PASSWORD)).access_token).kid
}

async function startWith(t: Test, path: string): Promise<RunningService> {
  const service = await startService(t, 'sqlite', keyFileSettings(path))
  await service.api.signUp('ada', PASSWORD)
  return service
}

/** The rules after a change from `before` to `after`, which share no key, however the file changed. */
async function seesChange(t: Test, service: RunningService, change: () => void, after: PrivateKey): Promise<void> {
  const { access_token: old } = await service.api.tokens('ada', PASSWORD)
  t.equal(await service.api.isActive(old), true)
  const read = linesOf(service, READ).length
  const started = Date.now()
  change()
  await eventually(() => linesOf(service, READ).length > read)
  t.comment(`read again after ${Date.now() - started} ms`)

  t.strictSame(linesOf(service, READ).at(-1)?.kids, [after.kid])
  t.equal(await service.api.isActive(old), false, 'a key that left verifies nothing, from the reload on')
  t.equal(await signingKid(service), after.kid)
  t.equal(linesOf(service, BROKEN).length, 0)
}

// The signal reaches every service of this process, so this test runs first, and alone.
test('SIGHUP makes the service read the key file at once', async (t) => {
  const [before, after] = [await makeKey('ES256'), await makeKey('ES256')]
  const path = writeKeyFile(t, before)
  const service = await startWith(t, path)
  writeFileSync(path, jwkSet(after, before))
  process.kill(process.pid, 'SIGHUP')
  // The signal handler runs in this process. Two turns of the event loop pass, and the poll does not run in between.
  await eventually(() => linesOf(service, READ).length > 0)
  t.strictSame(linesOf(service, READ)[0]?.kids, [after.kid, before.kid])
  t.equal(await signingKid(service), after.kid)

  writeFileSync(path, 'canary')
  process.kill(process.pid, 'SIGHUP')
  await eventually(() => linesOf(service, BROKEN).length > 0)
  t.equal(await signingKid(service), after.kid)
})

test('the service reads a key file that was written in place', { buffered: true }, async (t) => {
  const [before, after] = [await makeKey('ES256'), await makeKey('EdDSA')]
  const path = writeKeyFile(t, before)
  const service = await startWith(t, path)
  await seesChange(t, service, () => writeFileSync(path, jwkSet(after)), after)
})

test('the service reads a key file that was replaced by a rename', { buffered: true }, async (t) => {
  const [before, after, third] = [await makeKey('ES256'), await makeKey('RS256'), await makeKey('HS256')]
  const path = writeKeyFile(t, before)
  const service = await startWith(t, path)
  for (const key of [after, third]) {
    const replace = () => {
      writeFileSync(`${path}.new`, jwkSet(key))
      renameSync(`${path}.new`, path)
    }
    await seesChange(t, service, replace, key)
  }
})

test('the service reads a mounted Kubernetes secret after its links were swapped', { buffered: true }, async (t) => {
  // keys.json -> ..data/keys.json, ..data -> ..TIMESTAMP. An update makes a new folder and renames a link over ..data.
  const mount = temporaryFolder(t)
  const publish = (version: string, key: PrivateKey) => {
    mkdirSync(join(mount, `..${version}`))
    writeFileSync(join(mount, `..${version}`, 'keys.json'), jwkSet(key))
    symlinkSync(`..${version}`, join(mount, '..data_tmp'))
    renameSync(join(mount, '..data_tmp'), join(mount, '..data'))
  }
  const [before, after, third] = [await makeKey('ES256'), await makeKey('ES256'), await makeKey('ES256')]
  publish('2026_01', before)
  symlinkSync('..data/keys.json', join(mount, 'keys.json'))
  const service = await startWith(t, join(mount, 'keys.json'))

  for (const [version, key, last] of [
    ['2026_02', after, '2026_01'],
    ['2026_03', third, '2026_02'],
  ] as const) {
    const update = () => {
      publish(version, key)
      rmSync(join(mount, `..${last}`), { recursive: true })
    }
    await seesChange(t, service, update, key)
  }
})

test('a change during the start is not missed', { buffered: true }, async (t) => {
  const [before, after] = [await makeKey('ES256'), await makeKey('ES256')]
  const path = writeKeyFile(t, before)
  const starting = startService(t, 'sqlite', keyFileSettings(path))
  writeFileSync(path, jwkSet(after))
  const service = await starting
  await service.api.signUp('ada', PASSWORD)
  await eventually(async () => (await signingKid(service)) === after.kid)
  t.equal(linesOf(service, BROKEN).length, 0)
})

test('a broken file keeps the previous keys, and is reported once without repeating a key', {
  buffered: true,
}, async (t) => {
  const [before, after] = [await makeKey('ES256'), await makeKey('ES256')]
  const path = writeKeyFile(t, before)
  const service = await startWith(t, path)
  const { access_token: token } = await service.api.tokens('ada', PASSWORD)
  const broken = () => linesOf(service, BROKEN)
  let told = 0

  for (const [text, reason] of [
    [`{"keys":[{"kty":"oct","k":"canary-${before.d}"`, /the key file is not JSON/],
    [jwkSet({ kty: 'oct', k: 'Y2FuYXJ5' }), /k is shorter than 32 bytes/],
    [jwkSet({ ...after, d: before.d as string }), /private key and the public key do not belong together/],
    ['', /the key file is not JSON/],
  ] as const) {
    writeFileSync(path, text)
    told += 1
    await eventually(() => broken().length >= told)
    t.match(broken().at(-1)?.reason, reason)
    await sleep(1000)
    t.equal(broken().length, told, 'it is told once, not at each look')
    t.equal(await service.api.isActive(token), true)
    t.equal(await signingKid(service), before.kid)
  }
  rmSync(path)
  await eventually(() => broken().length > told)
  t.match(broken().at(-1)?.reason, /cannot be read: ENOENT/)
  t.equal(await service.api.isActive(token), true)

  writeFileSync(path, jwkSet(before))
  await eventually(() => linesOf(service, READ).length === 1)
  t.equal(await service.api.isActive(token), true, 'and when it is whole again, that is told too')
  const everything = JSON.stringify(service.log)
  for (const secret of [before.d, after.d, 'canary', 'Y2FuYXJ5']) t.notOk(everything.includes(secret as string))
})

test('a file that is still being written is not read', { buffered: true }, async (t) => {
  const [before, after] = [await makeKey('ES256'), await makeKey('ES256')]
  const path = writeKeyFile(t, before)
  const service = await startWith(t, path)
  const text = jwkSet(after, before)

  // Writes for more than a second. The poll has an interval of 300 ms and runs on the same event loop, so the file changes
  // between two polls on a busy machine too.
  writeFileSync(path, '')
  const size = Math.ceil(text.length / 200)
  for (let at = 0; at < text.length; at += size) {
    appendFileSync(path, text.slice(at, at + size))
    await sleep(10)
  }
  await eventually(() => linesOf(service, READ).length > 0)

  t.strictSame(linesOf(service, READ)[0]?.kids, [after.kid, before.kid])
  t.equal(linesOf(service, BROKEN).length, 0, 'no alarm for half of it')
  t.equal(await signingKid(service), after.kid)
})

test('a new key under an old kid signs and verifies', { buffered: true }, async (t) => {
  const [before, other] = [await makeKey('ES256'), await makeKey('ES256')]
  const after = { ...other, kid: before.kid }
  const path = writeKeyFile(t, before)
  const service = await startWith(t, path)
  const { access_token: old } = await service.api.tokens('ada', PASSWORD)

  writeFileSync(path, jwkSet(after))
  await eventually(() => linesOf(service, READ).length > 0)

  t.equal(await service.api.isActive((await service.api.tokens('ada', PASSWORD)).access_token), true)
  t.equal(await service.api.isActive(old), false)
})
