import { createPublicKey } from 'node:crypto'
import { chmodSync, lstatSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { calculateJwkThumbprint, importSPKI, type JWK, jwtVerify } from 'jose'
import { test } from 'tap'
import { decodeHeader } from '../support/decode.js'
import { algorithms, jwkSet, keyFileSettings, makeKey, writeKeyFile } from '../support/keys.js'
import { latchkey, latchkeyProcess } from '../support/latchkey.js'
import { PASSWORD, startService, temporaryFolder } from '../support/service.js'

const kidsIn = (path: string) => JSON.parse(readFileSync(path, 'utf8')).keys.map(({ kid }: JWK) => kid)
const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8)

for (const alg of algorithms) {
  test(`keys generate --alg ${alg} prints a private JWK Set that a service can sign with`, async (t) => {
    const ran = await latchkey(['keys', 'generate', '--alg', alg])
    t.match(ran, { code: 0, stderr: '' })
    const [key] = ran.json.keys
    t.equal(ran.json.keys.length, 1)
    t.match(key, { alg, use: 'sig', kid: await calculateJwkThumbprint(key) })
    t.equal(typeof (alg === 'HS256' ? key.k : key.d), 'string')

    const path = join(temporaryFolder(t), 'keys.json')
    writeFileSync(path, ran.stdout)
    const { api } = await startService(t, 'sqlite', keyFileSettings(path))
    await api.signUp('ada', PASSWORD)
    const { access_token: token } = await api.tokens('ada', PASSWORD)
    t.match(decodeHeader(token), { alg, kid: key.kid })
    t.equal(await api.isActive(token), true)
  })
}

test('keys generate makes an ES256 key by default, and refuses an unknown algorithm and --sign-now without a file', async (t) => {
  t.equal((await latchkey(['keys', 'generate', '--json'])).json.keys[0].alg, 'ES256')
  t.match(await latchkey(['keys', 'generate', '--alg', 'PS256']), {
    code: 1,
    stdout: '',
    stderr: 'latchkey: --alg must be one of ES256, RS256, EdDSA, HS256\n',
  })
  t.match(await latchkey(['keys', 'generate', '--sign-now']), { code: 1, stdout: '', stderr: /--into/ })
})

test('a key rotation, step by step, as docs/operate.md describes it', async (t) => {
  const path = join(temporaryFolder(t), 'keys.json')
  const env = { JWT_KEYS_FILE: path }
  const run = async (...args: string[]) => (await latchkey([...args, '--json'], env)).json

  const first = await run('keys', 'generate', '--into', path)
  t.match(first, { alg: 'ES256', signs: true }, 'alone it signs')
  t.equal(modeOf(path), '600')
  const second = await run('keys', 'generate', '--alg', 'RS256', '--into', path)
  t.match(second, { alg: 'RS256', signs: false })
  t.strictSame(kidsIn(path), [first.kid, second.kid])

  const promoted = [
    { kid: second.kid, alg: 'RS256', signs: true },
    { kid: first.kid, alg: 'ES256', signs: false },
  ]
  t.strictSame(await run('keys', 'promote', second.kid), { keys: promoted })
  t.strictSame(await run('keys', 'list'), { keys: promoted })
  const third = await run('keys', 'generate', '--into', path)
  t.strictSame(kidsIn(path), [second.kid, third.kid, first.kid], 'the next comes before those on their way out')

  t.strictSame(await run('keys', 'remove', first.kid), {
    keys: [promoted[0], { kid: third.kid, alg: 'ES256', signs: false }],
  })
  const leaked = await run('keys', 'generate', '--alg', 'EdDSA', '--into', path, '--sign-now')
  t.match(leaked, { signs: true })
  t.strictSame(kidsIn(path), [leaked.kid, second.kid, third.kid])
  t.equal(modeOf(path), '600')
  t.strictSame(readdirSync(dirname(path)), ['keys.json'], 'no draft is left behind')
})

test('keys list shows the use of each key, and no part of a key', async (t) => {
  const [ec, oct] = [await makeKey('ES256'), await makeKey('HS256')]
  const { stdout } = await latchkey(['keys', 'list', '--file', writeKeyFile(t, ec, oct)])
  t.match(stdout, new RegExp(`^KID +ALG +USE\\n${ec.kid} +ES256 +signs\\n${oct.kid} +HS256 +verifies\\n$`))
  for (const secret of [ec.d, oct.k]) t.notOk(stdout.includes(secret as string))
})

test('keys export prints only public keys, as PEM or as a JWK Set', async (t) => {
  const keys = await Promise.all(algorithms.map(makeKey))
  const path = writeKeyFile(t, ...keys)
  const { api } = await startService(t, 'sqlite', keyFileSettings(writeKeyFile(t, ...keys.slice(1))))
  await api.signUp('ada', PASSWORD)
  const { access_token: token } = await api.tokens('ada', PASSWORD)

  const pem = await latchkey(['keys', 'export', '--pem', '--file', path])
  const blocks = pem.stdout.match(/-----BEGIN PUBLIC KEY-----\n[^-]+\n-----END PUBLIC KEY-----\n/g) as string[]
  t.equal(pem.stdout, blocks.join(''), 'nothing else is printed')
  t.strictSame(
    blocks.map((block) => createPublicKey(block).asymmetricKeyType),
    ['ec', 'rsa', 'ed25519'],
  )
  t.ok(await jwtVerify(token, await importSPKI(blocks[0] as string, 'ES256')))

  const jwks = await latchkey(['keys', 'export', '--file', path])
  t.strictSame(jwks.json, (await api.call('/.well-known/jwks.json')).body)
  const one = await latchkey(['keys', 'export', '--pem', '--json', '--kid', keys[2]?.kid as string, '--file', path])
  t.strictSame(one.json, { keys: [{ kid: keys[2]?.kid, alg: 'RS256', pem: blocks[1] }] })
  for (const { stdout } of [pem, jwks, one]) {
    for (const key of keys) t.notOk(stdout.includes((key.d ?? key.k) as string))
  }
  t.match(await latchkey(['keys', 'export', '--pem', '--kid', keys[0]?.kid as string, '--file', path]), {
    code: 1,
    stderr: /a shared secret \(HS256\) has none/,
  })
})

test('a refused change leaves the key file unchanged', async (t) => {
  const [first, second] = [await makeKey('ES256'), await makeKey('ES256')]
  const path = writeKeyFile(t, first, second)
  const text = readFileSync(path, 'utf8')
  const refused = async (args: string[], said: RegExp) => {
    t.match(await latchkey(['keys', ...args]), { code: 1, stdout: '', stderr: said }, args.join(' '))
    t.equal(readFileSync(path, 'utf8'), text)
  }
  await refused(['remove', first.kid, '--file', path], /the first key signs: promote another key/)
  await refused(['promote', 'nobody', '--file', path], /the file has no key nobody/)
  await refused(['promote', second.kid], /the key file is missing: name it with --file/)
  await refused(['promote', second.kid, '--file', `${path}.missing`], /cannot be read: ENOENT/)
  await refused(
    ['generate', '--into', `${path}.no/keys.json`],
    /the folder .*keys\.json\.no does not exist: make it first/,
  )
  writeFileSync(`${path}.new`, '')
  await refused(
    ['generate', '--into', path],
    /another command is changing the file\. If no other command runs, delete .*keys\.json\.new/,
  )

  const broken = writeKeyFile(t, { ...first, d: second.d as string })
  t.match(await latchkey(['keys', 'generate', '--into', broken]), { code: 1, stderr: /key 1 of 1: the private key/ })
  t.strictSame(readdirSync(dirname(broken)), ['keys.json'])
})

test('after several commands at once on one file, every acknowledged key is in the file', async (t) => {
  const path = writeKeyFile(t, await makeKey('ES256'))
  const all = await Promise.all([1, 2, 3, 4].map(() => latchkeyProcess(['keys', 'generate', '--json', '--into', path])))
  const made = all.filter(({ code }) => code === 0)
  t.ok(made.length > 0)
  t.equal(kidsIn(path).length, 1 + made.length)
  for (const { json } of made) t.ok(kidsIn(path).includes(json.kid))
  for (const { code, stderr } of all) if (code !== 0) t.match(stderr, /another command is changing the file/)
})

test('a change keeps a symbolic link and the read permission of the group; others get no permission', async (t) => {
  const path = writeKeyFile(t, await makeKey('ES256'))
  const link = join(temporaryFolder(t), 'link.json')
  symlinkSync(path, link)
  chmodSync(path, 0o644)

  t.equal((await latchkey(['keys', 'generate', '--into', link])).code, 0)

  t.ok(lstatSync(link).isSymbolicLink())
  t.equal(kidsIn(path).length, 2)
  t.equal(modeOf(path), '640')
})

test('an id that begins with a dash is not taken for an option', async (t) => {
  const [first, dashed] = [await makeKey('ES256'), { ...(await makeKey('ES256')), kid: `-${'a'.repeat(42)}` }]
  const path = join(temporaryFolder(t), 'keys.json')
  writeFileSync(path, jwkSet(first, dashed))
  t.match(await latchkey(['keys', 'promote', dashed.kid, '--file', path]), { code: 0 })
  t.strictSame(kidsIn(path), [dashed.kid, first.kid])
  t.match(await latchkey(['keys', 'export', '--kid', dashed.kid, '--file', path]), { code: 0 })
})
