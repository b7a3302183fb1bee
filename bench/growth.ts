import { addDevelopmentSecrets } from '../src/config/development-secrets.js'
import { readConfig } from '../src/config/read.js'
import { createSessions } from './footprint.js'
import { load, measureCpu } from './load.js'
import { type Comparison, measureInTurns, measurePair } from './measure.js'
import { post, startBare } from './requests.js'
import { seedSessions } from './seed.js'
import type { Setting } from './setting.js'

const SECONDS = 1

export interface Growth {
  /** Introspection against the bare route, by the number of sessions in Redis. */
  sessions: (Comparison & { count: number; megabytes: number })[]
  /** The same, by the number of sessions for each user. */
  each: (Comparison & { each: number })[]
  /** Introspections a second by one process and by two. Each process shares its core with the load. */
  processes: { one: number; two: number }
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

  const growth: Growth = { sessions: [], each: [], processes: { one: 0, two: 0 } }
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
  const one = load(service, post('/introspect', tokens, 'token='))
  await one(1)
  growth.processes.one = (await one(SECONDS)).throughput
  const second = await setting.startService(undefined, '1')
  const two = load(second, post('/introspect', tokens, 'token='))
  await two(1)
  const both = await Promise.all([one(SECONDS), two(SECONDS)])
  growth.processes.two = both[0].throughput + both[1].throughput
  await second.stop()
  await service.stop()
  return growth
}
