import { cpus } from 'node:os'
import { addDevelopmentSecrets } from '../src/config/development-secrets.js'
import { readConfig } from '../src/config/read.js'
import { createSessions } from './footprint.js'
import { load, measureCpu } from './load.js'
import { type Comparison, measureInTurns, measurePair } from './measure.js'
import { post, startBare } from './requests.js'
import { seedSessions } from './seed.js'
import type { Setting } from './setting.js'

/** Seconds of load on the processes. */
const SECONDS = 3
const WARM_UP = 2

export interface Growth {
  /** Introspection against the bare route, by the number of sessions in Redis. */
  sessions: (Comparison & { count: number; megabytes: number })[]
  /** The same, by the number of sessions for each user. */
  each: (Comparison & { each: number })[]
  /** Introspection by several processes, which share the cores with Redis and the load. */
  processes: Processes[]
}

interface Processes {
  count: number
  /** Introspections in a second, of all processes. */
  throughput: number
  /** Microseconds of CPU for each introspection: of a process, and of Redis. */
  cpu: number
  redis: number
}

/** Needs an empty Redis. */
export async function measureGrowth(setting: Setting, rounds: number, counts: readonly number[]): Promise<Growth> {
  const { folder } = setting
  const config = addDevelopmentSecrets(readConfig(setting.env))
  const { redis, sessions, close } = await setting.openStores()
  const seeded = async (name: string, users: number, each: number) =>
    (await seedSessions(sessions, config, { users, each, folder, name })).accessTokens
  const tokens = await seeded('grown', 500, 4)
  const service = await setting.startService()
  const bare = await startBare()
  const yardstick = measureCpu(bare, post('/introspect', tokens, 'token='))
  const contest = (file: string) => [measureCpu(service, post('/introspect', file, 'token=')), yardstick] as const

  const growth: Growth = { sessions: [], each: [], processes: [] }
  let count = 2000
  for (const target of counts) {
    await createSessions(sessions, target - count, 10)
    count = target
    const used = Number(/used_memory:(\d+)/.exec((await redis?.info('memory')) ?? '')?.[1])
    growth.sessions.push({ count, megabytes: used / 2 ** 20, ...(await measurePair(rounds, ...contest(tokens))) })
  }
  const eaches = [1, 10, 100, 1000]
  const files: string[] = []
  for (const each of eaches) files.push(await seeded(`each-${each}`, 2000 / each, each))
  const ofEach = await measureInTurns(rounds, files.map(contest))
  growth.each = eaches.map((each, index) => ({ each, ...(ofEach[index] as Comparison) }))
  await close()
  await bare.stop()
  await service.stop()
  for (const count of [1, 2, 4]) growth.processes.push(await measureProcesses(setting, count, tokens))
  return growth
}

async function measureProcesses(setting: Setting, count: number, tokens: string): Promise<Processes> {
  const services = await Promise.all(
    Array.from({ length: count }, (_, index) => setting.startService(undefined, String(index % cpus().length))),
  )
  const loads = services.map((service) => load(service, post('/introspect', tokens, 'token=')))
  await Promise.all(loads.map((run) => run(WARM_UP)))
  const before = setting.redisCpu()
  const rounds = await Promise.all(loads.map((run) => run(SECONDS)))
  const redis = setting.redisCpu() - before
  for (const service of services) await service.stop()
  const requests = rounds.reduce((sum, round) => sum + round.requests, 0)
  return {
    count,
    throughput: rounds.reduce((sum, round) => sum + round.throughput, 0),
    cpu: rounds.reduce((sum, round) => sum + round.cpu * round.requests, 0) / requests,
    redis: (redis * 1000) / requests,
  }
}
