import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { test } from 'tap'
import { exampleCommand, languages } from '../support/example-clients.js'
import { makeCertificates } from '../support/servers/certificates.js'
import { locate } from '../support/servers/install.js'
import { freePort } from '../support/servers/ports.js'
import { startRedis } from '../support/servers/redis.js'
import { ISSUER, JWT_SECRET, temporaryFolder } from '../support/service.js'
import { startVerifierSetup } from '../support/verifier-setup.js'

/** Runs an example with a token. Returns the exit code (0 valid, 1 refused, 2 unavailable) and the output. */
function ask([program = '', ...args]: string[], env: NodeJS.ProcessEnv, token: string) {
  return new Promise<{ status: number | null; output: string }>((resolve, reject) => {
    const child = spawn(program, args, {
      env: { PYTHONDONTWRITEBYTECODE: '1', PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
    child.on('error', reject)
    child.on('close', (status) => resolve({ status, output }))
    child.stdin.end(`${token}\n`)
  })
}

for (const language of languages) {
  const program = language === 'go' ? 'go' : '/usr/bin/python3'
  const skip = locate(program, ['']) ? false : `${program} is not installed`

  test(`${language}: the example accepts a valid token and refuses the others`, { skip }, async (t) => {
    const { redis, admin, service, signIn } = await startVerifierSetup(t)
    const { api } = service
    const [one, other] = [await signIn(), await signIn()]
    const { id: client_id, secret: client_secret } = api.client
    const form = { grant_type: 'client_credentials', client_id, client_secret }
    const own = (await api.call('/token', { form })).body.access_token as string
    const run = await exampleCommand(language, 'redis')
    const env = { ISSUER, AUDIENCE: ISSUER, JWT_SECRET, REDIS_URL: redis.url }
    const verify = (token: string, more: NodeJS.ProcessEnv = {}) => ask(run, { ...env, ...more }, token)

    const good = await verify(one.access_token)
    t.equal(good.status, 0, good.output)
    t.match(JSON.parse(good.output), { sid: one.sid, iss: ISSUER, scope: '' })
    t.equal((await verify(own)).status, 0)

    const [header = '', claims = '', signature = ''] = one.access_token.split('.')
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const refused = {
      forged: `${one.access_token.slice(0, -4)}AAAA`,
      'of no algorithm': `${encode({ alg: 'none', typ: 'at+jwt' })}.${claims}.${signature}`,
      'of no signature': `${header}.${claims}`,
      'of another spelling': `${header}.${claims}.${signature}=`,
      'a refresh token': one.refresh_token,
      'no token': '',
    }
    for (const [name, token] of Object.entries(refused)) {
      const { status, output } = await verify(token)
      t.equal(status, 1, `${name}: ${output}`)
    }
    for (const more of [{ ISSUER: 'http://other.test' }, { AUDIENCE: 'other' }, { JWT_SECRET: 'x'.repeat(32) }]) {
      t.equal((await verify(one.access_token, more)).status, 1, JSON.stringify(more))
    }

    await api.logout(one.access_token)
    t.match(await verify(one.access_token), { status: 1, output: /revoked/ })
    t.equal((await verify(other.access_token)).status, 0)
    await api.call('/revoke', { form: { token: own } })
    t.match(await verify(own), { status: 1, output: /revoked/ })

    await admin.call('ACL', 'SETUSER', 'todo', 'on', '>p@ss', '~lk1:*', '+exists', '+get')
    const REDIS_URL = `redis://todo:p%40ss@127.0.0.1:${redis.port}`
    t.equal((await verify(other.access_token, { REDIS_URL })).status, 0, 'with a password')
    t.equal((await verify(other.access_token, { REDIS_URL: REDIS_URL.replace('p%40ss', 'wrong') })).status, 2)
    for (const [key, value] of [
      [`lk1:{${client_id}}:n`, ''],
      [`lk1:{${client_id}}:n`, 'soon'],
      ['lk1:epoch', '1e9'],
    ] as const) {
      await admin.set(key, value)
      t.equal((await verify(own)).status, 2, `${key} = ${value}`)
      await admin.set(key, '1')
    }
    await redis.stop()
    t.equal((await verify(other.access_token)).status, 2, 'without Redis')
  })

  test(`${language}: the example opens rediss:// with TLS alone, and sends no password before`, { skip }, async (t) => {
    const { ca, certificate, key } = makeCertificates(temporaryFolder(t))
    const port = await freePort()
    const tls = [
      '--tls-port',
      String(port),
      '--tls-cert-file',
      certificate,
      '--tls-key-file',
      key,
      '--tls-ca-cert-file',
      ca,
    ]
    const redis = await startRedis({ args: [...tls, '--tls-auth-clients', 'no', '--requirepass', 'p@ss'] })
    t.teardown(() => redis.stop())
    const { access_token } = await (await startVerifierSetup(t)).signIn()
    const run = await exampleCommand(language, 'redis')
    const env = { ISSUER, AUDIENCE: ISSUER, JWT_SECRET, REDIS_URL: `rediss://:p%40ss@127.0.0.1:${port}` }
    t.match(
      await ask(run, { ...env, SSL_CERT_FILE: ca }, access_token),
      { status: 1, output: /revoked/ },
      'an empty Redis',
    )
    t.equal((await ask(run, env, access_token)).status, 2, 'a certificate that nobody vouches for')

    let heard = ''
    const listener = createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', (data) => (heard += data.toString('latin1')))
    })
    const spy = await new Promise<number>((resolve) => {
      listener.listen(0, '127.0.0.1', () => resolve((listener.address() as { port: number }).port))
    })
    t.teardown(() => listener.close())
    for (const scheme of ['rediss', 'redis+tls', 'http']) {
      const { status } = await ask(run, { ...env, REDIS_URL: `${scheme}://:p%40ss@127.0.0.1:${spy}` }, access_token)
      t.equal(status, 2, scheme)
    }
    t.notMatch(heard, /AUTH|p@ss|lk1/)
  })
}
