import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import { askWithin, systemClock } from '@latchkey/verifier/clock'
import {
  clientRevocationKey,
  epochKey,
  feedKey,
  feedRetentionKey,
  parseWholeNumber,
  sessionIndexKey,
  sessionKey,
} from '@latchkey/verifier/redis-keys'
import type { Redis } from 'ioredis'
import { Unavailable } from '../../unavailable.js'
import type { RefreshTokenPayload } from '../refresh-token.js'
import { LONGEST_LIFE, type Rotation, type SessionStore, type StoreOptions } from '../session.js'
import { batchPerTick } from './batch-per-tick.js'
import { commandTimeout, isCluster, type RedisClient } from './client.js'
import { toFields, toRoles, toSession } from './fields.js'
import { findFault } from './health.js'
import type { Replicated } from './replicated.js'

const lua = (name: string) => readFileSync(new URL(`./${name}.lua`, import.meta.url), 'utf8')
const scripts = {
  lkCreate: { lua: lua('create'), numberOfKeys: 2 },
  // As many keys as sessions, or twice as many: the caller says how many.
  lkRotate: { lua: lua('rotate') },
  lkEnd: { lua: lua('end') },
  lkFindUsernames: { lua: lua('find-usernames') },
  lkPublishRevocation: { lua: lua('publish-revocation'), numberOfKeys: 2 },
  lkRevokeClient: { lua: lua('revoke-client'), numberOfKeys: 1 },
  lkEpoch: { lua: lua('epoch'), numberOfKeys: 1 },
  lkHeartbeat: { lua: lua('heartbeat'), numberOfKeys: 2 },
}

/** What `defineCommand` adds to the client. */
interface Scripts {
  lkCreate(
    session: string,
    index: string,
    ...args: (string | number | Buffer)[]
  ): Promise<[number, number, ...string[]]>
  lkRotate(keys: number, ...args: (string | number)[]): Promise<RotationAnswer[]>
  lkEnd(keys: number, ...args: string[]): Promise<string[]>
  lkFindUsernames(keys: number, ...sessions: string[]): Promise<(string | null)[]>
  lkPublishRevocation(feed: string, retention: string, kept: number, ...fields: string[]): Promise<string>
  lkRevokeClient(key: string, notBefore: number, kept: number): Promise<number>
  lkEpoch(epoch: string): Promise<number>
  lkHeartbeat(feed: string, retention: string, interval: number, kept: number, word: string): Promise<number>
}
type Times = [now: number, expiresAt: number, rotatedAt: number]
type RotationAnswer = Rotated | ['reused', successor: 'unused' | 'used'] | ['unknown']
type Rotated = ['rotated' | 'replayed', ...Times, owner: string, scope: string, audience: string, roles: string]

/** A follower of the feed is stale past one second by default: four chances to hear of us within it. */
const HEARTBEAT_INTERVAL = 250
/** Clocks differ: an entry is kept for so long past the life of the last token that it ends. */
const FEED_SLACK = 60_000
/** Sessions ended by one call of a script: Lua takes some 8,000 arguments apart, and each script blocks Redis. */
const END_BATCH = 500

/** Sessions looked up, and rotated, by one command: each script blocks Redis, for some 0.3 ms. */
const USERNAMES_BATCH = 200
const ROTATIONS_BATCH = 25

/** Keys drawn to tell how many of all are sessions: the answer is right within some 6%, for 0.3 ms of Redis. */
const SAMPLE = 300
/** So few keys are read, not sampled. */
const FEW = 1000

interface Presented {
  grant: RefreshTokenPayload
  clientId: string
}

/**
 * Sessions in Redis, for any number of replicas and for verifiers of other services.
 * Each user's keys share a slot; each change is one script.
 *
 * @param replicated where a revocation is acknowledged only when replicas hold it
 * @param isConfirmed whether this Redis is the registered store: followers must not hear a heartbeat from one left behind
 */
export function createRedisSessions(
  client: RedisClient,
  options: StoreOptions,
  replicated?: Replicated,
  isConfirmed: () => boolean = () => true,
): SessionStore {
  const { refreshTtl, sessionMaxAge, refreshGrace, sessionsPerUser, accessTtl } = options
  for (const [name, script] of Object.entries(scripts)) client.defineCommand(name, script)
  const redis = client as RedisClient & Scripts
  const inCluster = isCluster(client)
  const limit = commandTimeout(client)
  /** How long the feed must keep its entries for the tokens of this process. Another may need them for longer. */
  const feedRetention = accessTtl + FEED_SLACK

  /**
   * Every call goes through here. What Redis throws is never about the request: it is away, stalled, full, loading,
   * or has become a replica.
   */
  async function mapErrors<Answer>(question: () => Promise<Answer>): Promise<Answer> {
    try {
      return await question()
    } catch (error) {
      throw new Unavailable('redis', `Redis failed: ${(error as Error).message}`, error)
    }
  }

  // In a cluster sessions of several users are in several slots, and no script may touch two.
  const findUsername = batchPerTick(inCluster ? 1 : USERNAMES_BATCH, (keys: string[]) =>
    askWithin(limit, () => redis.lkFindUsernames(keys.length, ...keys), systemClock),
  )

  const rotate = batchPerTick(inCluster ? 1 : ROTATIONS_BATCH, (presented: Presented[]) =>
    redis.lkRotate(
      presented.length * 2,
      ...presented.flatMap(({ grant: { sub, sid } }) => [sessionKey(sub, sid), sessionIndexKey(sub)]),
      refreshGrace,
      refreshTtl,
      FIRST_PARTY_CLIENT_ID,
      ...presented.flatMap(({ grant: { sid, generation }, clientId }) => [sid, generation, clientId]),
    ),
  )

  async function heartbeat(): Promise<void> {
    // An emptied Redis has lost its epoch with the rest: the new one makes followers refuse what was issued before.
    await redis.lkEpoch(epochKey)
    // A little less than the interval: a timer that fires early must not let a heartbeat pass.
    const word = randomBytes(6).toString('base64url')
    await redis.lkHeartbeat(feedKey, feedRetentionKey, HEARTBEAT_INTERVAL * 0.8, feedRetention, word)
  }
  let beating = false
  async function heartbeatIfReady(): Promise<void> {
    // A stalled Redis must not find a pile of heartbeats when it wakes.
    if (beating || redis.status !== 'ready' || !isConfirmed()) return
    beating = true
    await heartbeat().catch(() => {})
    beating = false
  }
  // Whoever waits for this service to be followed waits for its first heartbeat.
  client.on('ready', heartbeatIfReady)
  const heartbeatTimer = setInterval(heartbeatIfReady, HEARTBEAT_INTERVAL).unref()

  /**
   * In a cluster the feed is on another node: it has to be safe there before the session goes, for who finds the session
   * gone takes the feed for told. On a single primary one order holds for both: what the replicas have of the one, they
   * have of the other.
   */
  async function publish(...fields: string[]): Promise<void> {
    const keys = [feedKey, feedRetentionKey] as const
    if (replicated && inCluster) await replicated.run(scripts.lkPublishRevocation.lua, keys, feedRetention, ...fields)
    else await redis.lkPublishRevocation(...keys, feedRetention, ...fields)
  }

  async function end(sub: string, sids: readonly string[]): Promise<string[]> {
    const ended: string[] = []
    for (let i = 0; i < sids.length; i += END_BATCH) {
      // Sent together: one round trip. Without it anybody with an old token could fill the feed, which every follower reads.
      const batch = sids.slice(i, i + END_BATCH)
      const isThere = await Promise.all(batch.map((sid) => redis.exists(sessionKey(sub, sid))))
      const living = batch.filter((_, i) => isThere[i] === 1)
      if (living.length > 0) ended.push(...(await endBatch(sub, living)))
    }
    // What is gone already may still have to reach the replicas.
    if (ended.length === 0) await confirmRevoked(sub)
    return ended
  }

  async function confirmRevoked(sub: string): Promise<void> {
    await replicated?.run(scripts.lkEnd.lua, [sessionIndexKey(sub)])
  }

  async function endBatch(sub: string, sids: readonly string[]): Promise<string[]> {
    // The feed first, then the keys: a crash in between leaves sessions that can be ended again. The other way round
    // it would leave followers who never hear of it.
    await publish(...sids.flatMap((sid) => ['sid', sid]))
    const keys = [sessionIndexKey(sub), ...sids.map((sid) => sessionKey(sub, sid))]
    if (replicated) return (await replicated.run(scripts.lkEnd.lua, keys, ...sids)) as string[]
    return redis.lkEnd(keys.length, ...keys, ...sids)
  }

  return {
    create: (session) =>
      mapErrors(async () => {
        // Before the first session, not by the next heartbeat: followers refuse a token that is older than the epoch.
        await redis.lkEpoch(epochKey)
        const [now, expiresAt, ...excess] = await redis.lkCreate(
          sessionKey(session.sub, session.sid),
          sessionIndexKey(session.sub),
          sessionKey(session.sub, ''),
          session.sid,
          refreshTtl,
          sessionMaxAge,
          sessionsPerUser,
          ...toFields(session),
        )
        return { session: { ...session, generation: 0, createdAt: now, lastSeenAt: now, expiresAt }, excess }
      }),

    rotate: (grant, clientId) =>
      mapErrors(async (): Promise<Rotation> => {
        const answer = await rotate({ grant, clientId })
        if (answer[0] === 'unknown') return { outcome: 'unknown' }
        if (answer[0] === 'reused') return { outcome: 'reused', successor: answer[1] }
        const [outcome, now, expiresAt, lastSeenAt, owner, scope, audience, roles] = answer
        const session = {
          sub: grant.sub,
          sid: grant.sid,
          clientId: owner,
          scope,
          audience,
          roles: toRoles(roles),
          generation: grant.generation + 1,
          lastSeenAt,
          expiresAt,
        }
        return outcome === 'rotated' ? { outcome, session } : { outcome, session, age: now - lastSeenAt }
      }),

    findUsername: (sub, sid) => mapErrors(async () => (await findUsername(sessionKey(sub, sid))) ?? undefined),

    list: (sub) =>
      mapErrors(async () => {
        const sids = await redis.zrange(sessionIndexKey(sub), '0', '-1')
        const found = await Promise.all(
          sids.map(async (sid) => {
            const key = sessionKey(sub, sid)
            const [hash, expiresAt] = await Promise.all([redis.hgetallBuffer(key), redis.pexpiretime(key)])
            // It may have expired since the index was read.
            return (expiresAt > 0 && toSession(sub, sid, hash, expiresAt)) || []
          }),
        )
        return found.flat().sort((a, b) => b.lastSeenAt - a.lastSeenAt)
      }),

    revoke: (sub, sids) => mapErrors(() => end(sub, sids)),

    confirmRevoked: (sub) => mapErrors(() => confirmRevoked(sub)),

    revokeAll: (sub, except) =>
      mapErrors(async () => {
        const sids = await redis.zrange(sessionIndexKey(sub), '0', '-1')
        return end(
          sub,
          sids.filter((sid) => sid !== except),
        )
      }),

    revokeClient: (clientId, notBefore) =>
      mapErrors(async () => {
        const key = clientRevocationKey(clientId)
        // What is no time covers nothing: the script puts a time in its place.
        const isNew = (parseWholeNumber(await redis.get(key)) ?? 0) < notBefore
        if (isNew) await publish('sub', clientId, 'nbf', String(notBefore))
        if (replicated) await replicated.run(scripts.lkRevokeClient.lua, [key], notBefore, LONGEST_LIFE)
        else if (isNew) await redis.lkRevokeClient(key, notBefore, LONGEST_LIFE)
        return isNew
      }),

    clientNotBefore: (clientId) =>
      mapErrors(async () => {
        const key = clientRevocationKey(clientId)
        const read = () => askWithin(limit, () => Promise.all([redis.get(key), redis.get(epochKey)]), systemClock)
        let [ended, epoch] = await read()
        if (epoch === null) {
          await redis.lkEpoch(epochKey)
          ;[ended, epoch] = await read()
        }
        // An emptied Redis has forgotten what had ended: of what was issued before its epoch it knows nothing.
        return Math.max(timeIn(key, ended ?? '0'), timeIn(epochKey, epoch) - 1)
      }),

    count: () =>
      mapErrors(async () => {
        const nodes = isCluster(client) ? client.nodes('master') : [client]
        const counts = await Promise.all(nodes.map(countSessions))
        return counts.reduce((sum, count) => sum + count, 0)
      }),

    feedAge: () =>
      mapErrors(async () => {
        // The clock of the node that has the feed.
        const [[last], [seconds, microseconds]] = await Promise.all([
          redis.xrevrange(feedKey, '+', '-', 'COUNT', 1),
          redis.eval("return redis.call('TIME')", 1, feedKey) as Promise<[string, string]>,
        ])
        const now = Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000)
        return last ? Math.max(0, now - Number.parseInt(last[0], 10)) : undefined
      }),

    ping: () =>
      mapErrors(async () => {
        const fault = await findFault(client)
        if (fault !== undefined) throw new Error(fault)
      }),

    async close() {
      replicated?.close()
      clearInterval(heartbeatTimer)
      client.off('ready', heartbeatIfReady)
    },
  }
}

/** Where a time cannot be read, nobody knows what has ended. */
function timeIn(key: string, value: string | null): number {
  const seconds = parseWholeNumber(value)
  if (seconds === undefined) throw new Error(`${key} holds no Unix time: delete it, and revoke again what had ended`)
  return seconds
}

/** How many of a node's keys are sessions, about. */
async function countSessions(node: Redis): Promise<number> {
  const [before = '', after = ''] = sessionKey('*', '').split('*')
  const isSession = (key: string | null) => key?.startsWith(before) && key.includes(after)
  const keys = await node.dbsize()
  if (keys <= FEW) return (await node.keys('lk1:*')).filter(isSession).length
  const sample = await Promise.all(Array.from({ length: SAMPLE }, () => node.randomkey()))
  return Math.round((keys * sample.filter(isSession).length) / SAMPLE)
}
