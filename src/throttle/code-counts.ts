import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Cluster, Redis } from 'ioredis'

/** All in milliseconds, except `free`. */
export interface CodeLimits {
  /** Attempts until the first wait. */
  free: number
  firstWait: number
  longestWait: number
  forgottenAfter: number
}

/** An attempt that is counted. */
export interface CountedCode {
  /** The count that has the attempt. A success ends a count. */
  countId: string
  /** The end of the wait that this attempt began, in Unix milliseconds, or empty. */
  waitEnd: string
}

/** Counts attempts by key. Each call is atomic, over all replicas if they share a Redis. */
export interface CodeCounts {
  /** Counts an attempt, or returns the milliseconds to wait. */
  begin(key: string): Promise<CountedCode | { wait: number }>
  /** `success` forgets the count. `not_compared` takes the attempt back from its own count only. */
  finish(key: string, code: CountedCode, result: 'success' | 'not_compared'): Promise<unknown>
}

const newCountId = (): string => randomBytes(9).toString('base64url')

const lua = (name: string) => readFileSync(new URL(`./${name}.lua`, import.meta.url), 'utf8')

/** The commands that `defineCommand` adds to the client. */
interface CodeCommands {
  lkBeginCode(key: string, ...limits: (string | number)[]): Promise<['wait', number] | ['started', string, string]>
  lkFinishCode(key: string, countId: string, waitEnd: string, result: string): Promise<number>
}

export function createRedisCodeCounts(client: Redis | Cluster, limits: CodeLimits): CodeCounts {
  client.defineCommand('lkBeginCode', { lua: lua('begin-code'), numberOfKeys: 1 })
  client.defineCommand('lkFinishCode', { lua: lua('finish-code'), numberOfKeys: 1 })
  const redis = client as unknown as CodeCommands
  const redisKey = (key: string) => `lk1:t:m:${key}`
  const { free, firstWait, longestWait, forgottenAfter } = limits

  return {
    async begin(key) {
      const id = newCountId()
      const reply = await redis.lkBeginCode(redisKey(key), free, firstWait, longestWait, forgottenAfter, id)
      return reply[0] === 'wait' ? { wait: reply[1] } : { countId: reply[1], waitEnd: reply[2] }
    },
    finish: (key, { countId, waitEnd }, result) => redis.lkFinishCode(redisKey(key), countId, waitEnd, result),
  }
}

interface Count {
  id: string
  attempts: number
  waitEnd: number
  expiresAt: number
}

/** Milliseconds between two deletions of expired counts. */
const SWEEP_INTERVAL = 60_000

/** The rules of `begin-code.lua` and `finish-code.lua` for a service without Redis. */
export function createMemoryCodeCounts({ free, firstWait, longestWait, forgottenAfter }: CodeLimits): CodeCounts {
  const counts = new Map<string, Count>()
  let sweptAt = 0

  function sweep(now: number): void {
    if (now - sweptAt < SWEEP_INTERVAL) return
    sweptAt = now
    for (const [key, { expiresAt }] of counts) if (expiresAt <= now) counts.delete(key)
  }

  function findCount(key: string, now: number): Count | undefined {
    const count = counts.get(key)
    return count && count.expiresAt > now ? count : undefined
  }

  return {
    async begin(key) {
      const now = Date.now()
      sweep(now)
      const empty = { id: newCountId(), attempts: 0, waitEnd: 0, expiresAt: now + forgottenAfter }
      const count = findCount(key, now) ?? empty
      if (count.waitEnd > now) return { wait: count.waitEnd - now }
      counts.set(key, count)
      count.attempts += 1
      if (count.attempts < free) return { countId: count.id, waitEnd: '' }
      const wait = Math.min(firstWait * 2 ** (count.attempts - free), longestWait)
      count.waitEnd = now + wait
      count.expiresAt = Math.max(count.expiresAt, count.waitEnd)
      return { countId: count.id, waitEnd: String(count.waitEnd) }
    },

    async finish(key, { countId, waitEnd }, result) {
      const count = findCount(key, Date.now())
      if (!count) return
      if (result === 'success') Object.assign(count, { id: newCountId(), attempts: 0 })
      else if (count.id === countId) count.attempts -= 1
      if (String(count.waitEnd) === waitEnd) count.waitEnd = 0
    },
  }
}
