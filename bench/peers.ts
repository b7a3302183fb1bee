import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort } from '../test/support/servers/ports.js'
import { type Server, startCommand, startServer } from './server.js'
import { BASIC_CREDENTIALS, CLIENT, JWT_SECRET, type Setting } from './setting.js'

const run = promisify(execFile)

const BETTER_AUTH = 'better-auth@1.7.25'
const IOREDIS = 'ioredis@6.0.0'
/** The files of Debian's package. */
const GLEWLWYD = {
  config: '/etc/glewlwyd/glewlwyd.conf',
  tables: '/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3',
}

/** Writes `oidc-access` and `oidc-refresh` into the folder. */
export async function startOidcProvider({ folder, redisUrl }: Setting, tokens: number): Promise<Server> {
  const port = String(await freePort())
  const client = { CLIENT_ID: CLIENT.id, CLIENT_SECRET: CLIENT.secret }
  const env = { PORT: port, REDIS_URL: redisUrl, FOLDER: folder, TOKENS: String(tokens), ...client }
  return startServer('./peers/oidc-provider.js', env, `http://127.0.0.1:${port}`)
}

/** Installs better-auth for this run alone, because nothing else here needs it. Writes `better-auth-cookies` into the folder. */
export async function startBetterAuth({ folder, redisUrl }: Setting, tokens: number): Promise<Server> {
  const script = join(folder, 'better-auth.mjs')
  copyFileSync(fileURLToPath(new URL('../../bench/peers/better-auth.mjs', import.meta.url)), script)
  await run('npm', ['install', '--prefix', folder, '--silent', BETTER_AUTH, IOREDIS])
  const port = String(await freePort())
  const env = { PORT: port, REDIS_URL: redisUrl, FOLDER: folder, TOKENS: String(tokens) }
  return startServer(script, env, `http://127.0.0.1:${port}`)
}

/**
 * Starts glewlwyd on SQLite, if Debian's packages glewlwyd and sqlite3 are installed. Writes `glewlwyd-access` and
 * `glewlwyd-grant` into the folder.
 */
export async function startGlewlwyd({ folder }: Setting, tokens: number): Promise<Server | undefined> {
  if (!existsSync(GLEWLWYD.config)) return undefined
  const port = String(await freePort())
  const [database, config] = [join(folder, 'glewlwyd.db'), join(folder, 'glewlwyd.conf')]
  // Its secrets of clients are slow hashes, and each introspection checks one: 150,000 iterations would take 20 ms.
  const fast =
    "UPDATE g_client_module_instance SET gcmi_parameters = json_set(gcmi_parameters, '$.pbkdf2-iterations', 1)"
  await run('sqlite3', [database, `.read ${GLEWLWYD.tables}`, fast])
  writeFileSync(
    config,
    readFileSync(GLEWLWYD.config, 'utf8')
      .replace(/^@include.*$/m, `database = { type = "sqlite3" path = "${database}" };`)
      .replace(/^port=.*$/m, `port=${port}`)
      .replace(/^log_mode=.*$/m, 'log_mode="console"')
      .replace(/^log_level=.*$/m, 'log_level="ERROR"'),
  )
  const url = `http://127.0.0.1:${port}`
  const server = await startCommand(['glewlwyd', `--config-file=${config}`], {}, url)
  const post = async (path: string, body: string, headers: Record<string, string>) => {
    const answer = await fetch(`${url}/api/${path}`, { method: 'POST', body, headers })
    if (!answer.ok) throw new Error(`glewlwyd answers ${path} with ${answer.status}`)
    return answer
  }
  const signedIn = await post('auth/', JSON.stringify({ username: 'admin', password: 'password' }), JSON_BODY)
  const cookie = (signedIn.headers.get('set-cookie') as string).split(';')[0] as string
  const add = (path: string, what: object) => post(path, JSON.stringify(what), { ...JSON_BODY, cookie })
  await add('mod/plugin/', {
    module: 'oauth2-glewlwyd',
    name: 'glwd',
    display_name: 'glwd',
    parameters: {
      'jwt-type': 'sha',
      'jwt-key-size': '256',
      key: JWT_SECRET,
      'access-token-duration': 3600,
      'refresh-token-duration': 1_209_600,
      'code-duration': 600,
      'refresh-token-rolling': true,
      'auth-type-code-enabled': false,
      'auth-type-implicit-enabled': false,
      'auth-type-password-enabled': false,
      'auth-type-client-enabled': true,
      'auth-type-refresh-enabled': false,
      'auth-type-device-enabled': false,
      'introspection-revocation-allowed': true,
      'introspection-revocation-allow-target-client': true,
      'introspection-revocation-auth-scope': [],
    },
  })
  await add('scope/', { name: 'todo', display_name: 'todo', password_required: false, scheme: {} })
  await add('client/', {
    client_id: CLIENT.id,
    name: CLIENT.id,
    password: CLIENT.secret,
    confidential: true,
    enabled: true,
    authorization_type: ['client_credentials'],
    redirect_uri: [],
    scope: ['todo'],
  })
  const grant = 'grant_type=client_credentials&scope=todo'
  const headers = { authorization: `Basic ${BASIC_CREDENTIALS}`, 'content-type': 'application/x-www-form-urlencoded' }
  const access: string[] = []
  for (let i = 0; i < tokens; i += 1) {
    const answer = await post('glwd/token', grant, headers)
    access.push(((await answer.json()) as { access_token: string }).access_token)
  }
  writeFileSync(join(folder, 'glewlwyd-access'), `${access.join('\n')}\n`)
  writeFileSync(join(folder, 'glewlwyd-grant'), `${grant}\n`)
  return server
}

const JSON_BODY = { 'content-type': 'application/json' }
