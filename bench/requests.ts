import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addDevelopmentSecrets } from '../src/config/development-secrets.js'
import { readConfig } from '../src/config/read.js'
import { freePort } from '../test/support/servers/ports.js'
import { FORM_TYPE, type Load, measureCpu, measureRounds, type Round } from './load.js'
import { type Comparison, measureInTurns } from './measure.js'
import { startBetterAuth, startGlewlwyd, startOidcProvider } from './peers.js'
import { seedSessions } from './seed.js'
import { type Server, startServer } from './server.js'
import { BASIC_CREDENTIALS, type Setting } from './setting.js'

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
  /** Microseconds of CPU that Redis uses for each request of a kind. */
  redis: { name: string; cpu: number }[]
  /** Megabytes of the service after all requests. */
  memory: number
}

type Contests = (readonly [name: string, ours: Load, theirs: Load])[]

/** Measures every kind of request against the bare route, or against another checkout, and against three other servers. */
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
    verify: bearing('/verify', join(folder, 'live-access'), 'GET'),
    'client credentials': post('/token', join(folder, 'grant'), ''),
    'sign out': {
      ...bearing('/logout', join(folder, 'to-end-access'), 'POST'),
      // A session ends once.
      next: (_, requests) => [String(requests)],
    },
    refresh: refreshing('/refresh', join(folder, 'first-refresh'), '-', 'refresh_token='),
  }
  const redis = countRedisCpu(setting)
  const compare = async (contests: Contests, them: Server, against: string): Promise<RequestFigure[]> => {
    const chosen = contests.filter(([name]) => only.test(name))
    const measured = await measureInTurns(
      rounds,
      chosen.map(([name, ours, theirs]) => [redis.count(name, measureRounds(service, ours)), measureCpu(them, theirs)]),
    )
    return chosen.map(([name], index) => ({ name, against, ...(measured[index] as Comparison) }))
  }
  const contests = Object.entries(loads).map(([name, ours]) => {
    const theirs = other === undefined ? yardstick : name === 'refresh' ? secondRefresh(folder) : ours
    return [name, ours, theirs] as const
  })
  const figures = await compare(contests, rival, other ?? 'bare route')
  await rival.stop()
  const ofRedis = contests.filter(([name]) => only.test(name)).map(([name]) => ({ name, cpu: redis.cpu(name) }))

  if (other === undefined) {
    const clientCredentials = loads['client credentials'] as Load
    const oidcProvider = await startOidcProvider(setting, ROUND * (rounds + 3))
    const oidcRefresh = refreshing(
      '/token',
      join(folder, 'oidc-refresh'),
      BASIC_CREDENTIALS,
      'grant_type=refresh_token&refresh_token=',
    )
    const contests: Contests = [
      ['introspect, live, form', yardstick, post('/token/introspection', join(folder, 'oidc-access'), 'token=')],
      ['client credentials', clientCredentials, post('/token', join(folder, 'grant'), '')],
      ['refresh', secondRefresh(folder), oidcRefresh],
    ]
    figures.push(...(await compare(contests, oidcProvider, 'oidc-provider')))
    await oidcProvider.stop()

    const betterAuth = await startBetterAuth(setting, TOKENS.users * TOKENS.each)
    const getSession: Load = {
      path: '/api/auth/get-session',
      script: 'header.lua',
      args: [join(folder, 'better-auth-cookies'), 'GET', 'Cookie', ''],
    }
    figures.push(...(await compare([['introspect, live, form', yardstick, getSession]], betterAuth, 'better-auth')))
    await betterAuth.stop()

    const glewlwyd = await startGlewlwyd(setting, TOKENS.users * TOKENS.each)
    if (glewlwyd) {
      const contests: Contests = [
        ['introspect, live, form', yardstick, post('/api/glwd/introspect', join(folder, 'glewlwyd-access'), 'token=')],
        ['client credentials', clientCredentials, post('/api/glwd/token', join(folder, 'glewlwyd-grant'), '')],
      ]
      figures.push(...(await compare(contests, glewlwyd, 'glewlwyd')))
      await glewlwyd.stop()
    }
  }
  const memory = service.memory()
  await service.stop()
  return { figures, redis: ofRedis, memory }
}

/** The CPU time of Redis over all rounds of a kind of request: one round is too short for the clock of the kernel, 10 ms. */
function countRedisCpu(setting: Setting) {
  const sums = new Map<string, { milliseconds: number; requests: number }>()
  return {
    /** Runs rounds, counts what Redis uses, and returns the microseconds of CPU of the server for each request. */
    count(name: string, run: () => Promise<Round>): () => Promise<number> {
      const sum = sums.get(name) ?? { milliseconds: 0, requests: 0 }
      sums.set(name, sum)
      return async () => {
        const before = setting.redisCpu()
        const { cpu, requests } = await run()
        sum.milliseconds += setting.redisCpu() - before
        sum.requests += requests
        return cpu
      }
    },
    /** Microseconds of CPU of Redis for each request. */
    cpu(name: string): number {
      const { milliseconds = 0, requests = 0 } = sums.get(name) ?? {}
      return (milliseconds * 1000) / requests
    },
  }
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

function bearing(path: string, file: string, method: string): Load {
  return { path, script: 'header.lua', args: [file, method, 'Authorization', 'Bearer '] }
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
