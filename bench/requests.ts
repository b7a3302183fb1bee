import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addDevelopmentSecrets } from '../src/config/development-secrets.js'
import { readConfig } from '../src/config/read.js'
import { freePort } from '../test/support/servers/ports.js'
import { FORM_TYPE, type Load, measureCpu } from './load.js'
import { type Comparison, measureInTurns } from './measure.js'
import { seedSessions } from './seed.js'
import { type Server, startServer } from './server.js'
import { BASIC_CREDENTIALS, CLIENT, type Setting } from './setting.js'

/** Many different tokens, so that the bench does not measure one cached token. */
const TOKENS = { users: 500, each: 4 }
/** A refresh token works once, so a round has this many. The load sends them first, and then their successors. */
const ROUND = 1000
const TO_END = { users: 3600, each: 50 }

/** One kind of request: microseconds of CPU, compared with another server in the same seconds. */
export interface RequestFigure extends Comparison {
  name: string
  against: string
}

export interface Requests {
  figures: RequestFigure[]
  /** Megabytes of the service after all requests. */
  memory: number
}

/** Measures every kind of request against the bare route, or against another checkout, and against oidc-provider. */
export async function measureRequests(setting: Setting, rounds: number, only: RegExp): Promise<Requests> {
  const { folder } = setting
  await seed(setting, rounds)
  const service = await setting.startService()
  const other = process.env.BENCH_AGAINST
  await requireActive(service, folder)
  const rival = other === undefined ? await startBare() : await setting.startService(other)
  const introspect = (tokens: string): Load => post('/introspect', join(folder, tokens), 'token=')
  const yardstick = introspect('live-access')
  const loads: Record<string, Load> = {
    'introspect, live, form': yardstick,
    'introspect, live, JSON': {
      path: '/introspect',
      script: 'post.lua',
      args: [join(folder, 'live-access'), BASIC_CREDENTIALS, 'application/json', '{"token":"', '"}'],
    },
    'introspect, revoked': introspect('revoked-access'),
    'introspect, garbage': introspect('garbage'),
    verify: { path: '/verify', script: 'bearer.lua', args: [join(folder, 'live-access'), 'GET'] },
    'client credentials': post('/token', join(folder, 'grant'), ''),
    'sign out': {
      path: '/logout',
      script: 'bearer.lua',
      args: [join(folder, 'to-end-access'), 'POST'],
      // A session ends once.
      next: (_, requests) => [String(requests)],
    },
    refresh: refreshing('/refresh', join(folder, 'first-refresh'), '-', 'refresh_token='),
  }
  const compare = async (
    contests: (readonly [name: string, ours: Load, theirs: Load])[],
    them: Server,
    against: string,
  ): Promise<RequestFigure[]> => {
    const chosen = contests.filter(([name]) => only.test(name))
    const measured = await measureInTurns(
      rounds,
      chosen.map(([, ours, theirs]) => [measureCpu(service, ours), measureCpu(them, theirs)]),
    )
    return chosen.map(([name], index) => ({ name, against, ...(measured[index] as Comparison) }))
  }
  const contests = Object.entries(loads).map(([name, ours]) => {
    const theirs = other === undefined ? yardstick : name === 'refresh' ? secondRefresh(folder) : ours
    return [name, ours, theirs] as const
  })
  const figures = await compare(contests, rival, other ?? 'bare route')
  await rival.stop()

  if (other === undefined) {
    const peer = await startPeer(setting, ROUND * (rounds + 3))
    const ofPeer = await compare(
      [
        ['introspect, live, form', yardstick, post('/token/introspection', join(folder, 'oidc-access'), 'token=')],
        ['client credentials', loads['client credentials'] as Load, post('/token', join(folder, 'grant'), '')],
        [
          'refresh',
          secondRefresh(folder),
          refreshing(
            '/token',
            join(folder, 'oidc-refresh'),
            BASIC_CREDENTIALS,
            'grant_type=refresh_token&refresh_token=',
          ),
        ],
      ],
      peer,
      'oidc-provider',
    )
    figures.push(...ofPeer)
    await peer.stop()
  }
  const memory = service.memory()
  await service.stop()
  return { figures, memory }
}

/** A wrong answer may be fast too: the load generator sees its status alone. */
async function requireActive(service: Server, folder: string): Promise<void> {
  for (const [name, isActive] of Object.entries({ 'live-access': true, 'revoked-access': false, garbage: false })) {
    const [token] = lines(join(folder, name))
    const headers = { authorization: `Basic ${BASIC_CREDENTIALS}`, 'content-type': FORM_TYPE }
    const answer = await fetch(`${service.url}/introspect`, { method: 'POST', headers, body: `token=${token}` })
    const { active } = (await answer.json()) as { active: boolean }
    if (active !== isActive) throw new Error(`a token of ${name} is introspected as active: ${active}`)
  }
}

export function post(path: string, file: string, before: string): Load {
  return { path, script: 'post.lua', args: [file, BASIC_CREDENTIALS, FORM_TYPE, before] }
}

function refreshing(path: string, file: string, basic: string, before: string): Load {
  return { path, script: 'refresh.lua', args: [file, basic, before, String(ROUND)], next: (rounds) => [String(rounds)] }
}

function secondRefresh(folder: string): Load {
  return refreshing('/refresh', join(folder, 'second-refresh'), '-', 'refresh_token=')
}

export async function startBare(): Promise<Server> {
  const port = String(await freePort())
  return startServer('./bare.js', { PORT: port }, `http://127.0.0.1:${port}`)
}

async function startPeer({ folder, redisUrl }: Setting, tokens: number): Promise<Server> {
  const port = String(await freePort())
  const client = { CLIENT_ID: CLIENT.id, CLIENT_SECRET: CLIENT.secret }
  const env = { PORT: port, REDIS_URL: redisUrl, FOLDER: folder, TOKENS: String(tokens), ...client }
  return startServer('./peers/oidc-provider.js', env, `http://127.0.0.1:${port}`)
}

/** Creates sessions, and writes files of live, revoked, forged and single-use tokens for the load. */
async function seed(setting: Setting, rounds: number): Promise<void> {
  const { folder } = setting
  const config = addDevelopmentSecrets(readConfig(setting.env))
  const { sessions, close } = await setting.openStores()
  const some = (name: string, { users, each }: { users: number; each: number }) =>
    seedSessions(sessions, config, { users, each, folder, name })
  const live = await some('live', TOKENS)
  await some('to-end', TO_END)
  for (const name of ['first', 'second']) await some(name, { users: ((rounds + 3) * ROUND) / 50, each: 50 })
  const revoked = await some('revoked', TOKENS)
  for (const token of lines(revoked.accessTokens)) {
    const { sub, sid } = JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString())
    await sessions.revoke(sub, [sid])
  }
  await close()
  const forged = lines(live.accessTokens).map((token) => token.slice(0, -43) + randomBytes(32).toString('base64url'))
  writeFileSync(join(folder, 'garbage'), `${forged.join('\n')}\n`)
  writeFileSync(join(folder, 'grant'), 'grant_type=client_credentials\n')
}

function lines(file: string): string[] {
  return readFileSync(file, 'utf8').trim().split('\n')
}
