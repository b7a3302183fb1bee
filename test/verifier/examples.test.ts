import { execFileSync, spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { locate } from '../support/servers/install.js'
import { JWT_SECRET, temporaryFolder } from '../support/service.js'
import { ISSUER, startVerifierSetup } from '../support/verifier-setup.js'

const EXAMPLES = fileURLToPath(new URL('../../../examples/verify/', import.meta.url))

/** How to build and run each example. */
const languages: Record<string, { program: string; command(folder: string): string[] }> = {
  python: { program: 'python3', command: () => ['python3', join(EXAMPLES, 'python/latchkey_verify.py')] },
  go: {
    program: 'go',
    command(folder) {
      const binary = join(folder, 'verify')
      execFileSync('go', ['build', '-o', binary, 'main.go'], { cwd: join(EXAMPLES, 'go') })
      return [binary]
    },
  },
}

/** Runs an example with a token. Returns the exit code (0 valid, 1 refused, 2 unavailable) and the output. */
function ask([program = '', ...args]: string[], env: NodeJS.ProcessEnv, token: string) {
  return new Promise<{ status: number | null; output: string }>((resolve, reject) => {
    const child = spawn(program, args, { env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env } })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
    child.on('error', reject)
    child.on('close', (status) => resolve({ status, output }))
    child.stdin.end(`${token}\n`)
  })
}

for (const [language, { program, command }] of Object.entries(languages)) {
  const skip = locate(program, []) ? false : `${program} is not installed`

  test(`${language}: the example accepts a valid token and refuses the others`, { skip }, async (t) => {
    const { redis, admin, service, signIn } = await startVerifierSetup(t)
    const { api } = service
    const [one, other] = [await signIn(), await signIn()]
    const { id: client_id, secret: client_secret } = api.client
    const form = { grant_type: 'client_credentials', client_id, client_secret }
    const own = (await api.call('/token', { form })).body.access_token as string
    const run = command(temporaryFolder(t))
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
    await redis.stop()
    t.equal((await verify(other.access_token)).status, 2, 'without Redis')
  })
}
