import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { seed } from './seed.js'

/**
 * `npm run example` starts the token service and the todo service, each as a process, with generated secrets. All their files
 * are in one folder. Delete the folder to start from nothing. A new folder gets people, devices and an hour of activity, so that
 * the console has something to show.
 */
const root = fileURLToPath(new URL('../../../', import.meta.url))
const folder = process.env.EXAMPLE_DATA || `${root}data/example`
mkdirSync(folder, { recursive: true })

/** The client that this script administers the token service with. */
const OPERATOR = 'example'
const PAST_CLOCK = new URL('./past-clock.js', import.meta.url).href
const children: ChildProcess[] = []
let isStopping = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop(0))

const [tokenPort, managementPort, todoPort] = [
  await portNear(3000),
  await portNear(9000),
  await portNear(Number(process.env.PORT) || 4000),
]
const secrets = keptSecrets()
const database = `${folder}/latchkey.db`
// Redis has a clock of its own, and no file that could get the times of the hour.
const isSeeded = !existsSync(database) && !process.env.REDIS_URL
const shared = {
  NODE_ENV: 'development',
  HOST: '127.0.0.1',
  ISSUER: `http://localhost:${tokenPort}`,
  JWT_SECRET: secrets.jwt,
}

const tokenService = start('token-service', `${root}dist/src/server.js`, {
  ...shared,
  PORT: String(tokenPort),
  MANAGEMENT_PORT: String(managementPort),
  DATABASE_URL: `sqlite:${database}`,
  REFRESH_SECRET: secrets.refresh,
  AUDIENCE: 'todo',
  DATA_SECRET: secrets.data,
  BOOTSTRAP_CLIENT: `${OPERATOR}:${secrets.client}`,
  // Passkeys belong to the domain, and the page is on another port than the token service.
  WEBAUTHN_RP_ID: 'localhost',
  WEBAUTHN_ORIGINS: `http://localhost:${todoPort},http://localhost:${tokenPort}`,
  TRUST_PROXY: '127.0.0.1/32',
  SIGNUP: 'open',
  // Short, so that you see a refresh within a minute. The service's default is 15m.
  ACCESS_TTL: process.env.ACCESS_TTL || '1m',
})
await answers(`http://127.0.0.1:${managementPort}/readyz`)
if (isSeeded) {
  process.stdout.write('\n  The first start of this folder makes people, devices and an hour of activity …\n')
  await seed({
    url: `http://127.0.0.1:${tokenPort}`,
    authorization: operatorAuthorization(),
    database,
    process: tokenService,
  })
}
start('todo-service', fileURLToPath(new URL('./server.js', import.meta.url)), {
  ...shared,
  PORT: String(todoPort),
  TODO_DATABASE: `${folder}/todo.db`,
  TOKEN_SERVICE: `http://127.0.0.1:${tokenPort}`,
  PUBLIC_URL: `http://localhost:${todoPort}`,
  CLIENT_ID: 'todo',
  CLIENT_SECRET: await createTodoClient(),
})
await answers(`http://127.0.0.1:${todoPort}/`)
await createOperator()
process.stdout.write(`
  The todo example is ready:   http://localhost:${todoPort}
  The token service beside it: http://localhost:${tokenPort}/docs
  Its console:                 http://localhost:${tokenPort}/console/
    user name  operator
    password   ${secrets.operator}

  Tokens are checked ${process.env.REDIS_URL ? 'in memory, by following the revocations in Redis' : 'by introspection (set REDIS_URL, and they are checked in memory)'}.
  Mails to people who forgot their password are printed here.
  Data, secrets and logs are in ${folder}

  Ctrl-C stops both.

`)

function start(name: string, script: string, env: Record<string, string>): ChildProcess {
  const log = openSync(`${folder}/${name}.log`, 'a')
  const hasPast = name === 'token-service' && isSeeded
  const child = spawn(process.execPath, [...(hasPast ? ['--import', PAST_CLOCK] : []), script], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', log, 'inherit', ...(hasPast ? (['ipc'] as const) : [])],
    // An own process group: Ctrl-C reaches only this process, which then stops the others once.
    detached: true,
  })
  children.push(child)
  child.on('exit', (code) => {
    if (isStopping) return
    process.stderr.write(`The ${name.replace('-', ' ')} has stopped (exit code ${code}): see ${folder}/${name}.log\n`)
    void stop(1)
  })
  return child
}

async function stop(exitCode: number): Promise<void> {
  if (isStopping) return
  isStopping = true
  const running = children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
  await Promise.all(
    running.map((child) => {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      return exited
    }),
  )
  process.exit(exitCode)
}

async function answers(url: string): Promise<void> {
  for (;;) {
    const isOk = await fetch(url).then(
      ({ ok }) => ok,
      () => false,
    )
    if (isOk) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** The port itself, or a free port if another program uses it. */
function portNear(wanted: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE' || wanted === 0) return reject(error)
      resolve(portNear(0))
    })
    probe.listen(wanted, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })
}

/** The client of the todo service, with the two scopes that it needs. Each start makes it again, so its secret is stored nowhere. */
async function createTodoClient(): Promise<string> {
  const clients = `http://127.0.0.1:${tokenPort}/admin/clients`
  const authorization = operatorAuthorization()
  await fetch(`${clients}/todo`, { method: 'DELETE', headers: { authorization } })
  const response = await fetch(clients, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ id: 'todo', scopes: ['introspect', 'recovery'] }),
  })
  if (!response.ok) throw new Error(`the client of the todo service was not created: ${await response.text()}`)
  return ((await response.json()) as { secret: string }).secret
}

function operatorAuthorization(): string {
  return `Basic ${Buffer.from(`${OPERATOR}:${secrets.client}`).toString('base64')}`
}

/** The person who signs in to the console. Only the first start of a folder creates the account. */
async function createOperator(): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${tokenPort}/admin/users`, {
    method: 'POST',
    headers: {
      authorization: operatorAuthorization(),
      'content-type': 'application/json',
    },
    body: JSON.stringify({ username: 'operator', password: secrets.operator, roles: ['latchkey-admin'] }),
  })
  if (!response.ok && response.status !== 409) throw new Error(`the operator was not created: ${await response.text()}`)
}

interface Secrets {
  jwt: string
  refresh: string
  data: string
  client: string
  operator: string
}

/** The secrets are stored, so that a restart signs nobody out. */
function keptSecrets(): Secrets {
  const file = `${folder}/secrets.json`
  const secret = () => randomBytes(32).toString('base64url')
  let kept: Partial<Secrets> = {}
  try {
    kept = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  // A folder of an older version lacks some.
  const all = { jwt: secret(), refresh: secret(), data: secret(), client: secret(), operator: secret(), ...kept }
  writeFileSync(file, JSON.stringify(all), { mode: 0o600 })
  return all
}
