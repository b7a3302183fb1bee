import { randomBytes } from 'node:crypto'
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
  storeIdKey,
} from '@latchkey/verifier/redis-keys'
import { withRedisErrors } from '../../unavailable.js'
import type { RefreshTokenPayload } from '../refresh-token.js'
import {
  CLIENT_REVOCATION_RETENTION,
  FEED_SLACK,
  type Session,
  type SessionStore,
  type StoreOptions,
} from '../session.js'
import { batchPerTick } from './batch-per-tick.js'
import { commandTimeout, isCluster, type RedisClient } from './client.js'
import { countSessions } from './count-sessions.js'
import { readRedisFeed } from './feed.js'
import { toFields, toRotation, toSession, toUsernameFields } from './fields.js'
import { findFault } from './health.js'
import type { Replicated } from './replicated.js'
import { defineScripts, STORE_TTL, scripts } from './scripts.js'
import { useOnce } from './use-once.js'

/** Milliseconds. A follower of the feed is stale after 1 s by default, so it can miss three heartbeats in a row. */
const HEARTBEAT_INTERVAL = 250
/** Milliseconds between two looks whether a first heartbeat may be sent. */
const READY_INTERVAL = 20
/** Sessions that one call of a script ends: Lua unpacks about 8,000 arguments at most, and each script blocks Redis. */
const REVOCATIONS_BATCH = 500

/** Sessions that one command looks up or rotates. Each such script blocks Redis for about 0.3 ms. */
const USERNAMES_BATCH = 200
const ROTATIONS_BATCH = 25

interface RotationRequest {
  presented: RefreshTokenPayload
  clientId: string
}

/**
 * Sessions in Redis, for any number of replicas of this service and for verifiers in other services.
 * The keys of one user share a slot. Each change is one script.
 *
 * @param replicated runs revocations if a revocation must wait until Redis replicas hold it
 * @param isConfirmed whether this Redis is the registered store. An old store must not send heartbeats to followers
 */
export function createRedisSessions(
  client: RedisClient,
  options: StoreOptions,
  replicated?: Replicated,
  isConfirmed: () => boolean = () => true,
): SessionStore {
  const { refreshTtl, sessionMaxAge, refreshGrace, sessionsPerUser, accessTtl } = options
  const redis = defineScripts(client)
  const inCluster = isCluster(client)
  const timeout = commandTimeout(client)
  /** Milliseconds for which the tokens of this process need an entry of the feed. Another instance may need more. */
  const feedRetention = accessTtl + FEED_SLACK

  // In a cluster, sessions of several users are in several slots, and one script may only use keys of one slot.
  const findUsername = batchPerTick(inCluster ? 1 : USERNAMES_BATCH, (keys: string[]) =>
    withRedisErrors(async () => {
      const found = await askWithin(timeout, () => redis.lkFindUsernames(keys.length, ...keys), systemClock)
      return found.map((username) => username ?? undefined)
    }),
  )

  const rotate = batchPerTick(inCluster ? 1 : ROTATIONS_BATCH, (requests: RotationRequest[]) =>
    withRedisErrors(async () => {
      const replies = await redis.lkRotate(
        requests.length * 2,
        ...requests.flatMap(({ presented: { sub, sid } }) => [sessionKey(sub, sid), sessionIndexKey(sub)]),
        refreshGrace,
        refreshTtl,
        FIRST_PARTY_CLIENT_ID,
        ...requests.flatMap(({ presented: { sid, generation }, clientId }) => [sid, generation, clientId]),
      )
      return replies.map((reply, i) => toRotation((requests[i] as RotationRequest).presented, reply))
    }),
  )

  let isRenewed = false
  async function heartbeat(): Promise<void> {
    // A Redis that lost its data has lost its epoch too. A new epoch makes followers refuse tokens issued before it.
    await redis.lkEpoch(epochKey, STORE_TTL)
    if (!isRenewed) await Promise.all([epochKey, storeIdKey].map((key) => redis.expire(key, STORE_TTL)))
    isRenewed = true
    const word = randomBytes(6).toString('base64url')
    // Less than the interval: if the timer fires early, the script must still write the heartbeat.
    await redis.lkHeartbeat(feedKey, feedRetentionKey, HEARTBEAT_INTERVAL * 0.8, feedRetention, word)
  }
  // One heartbeat in flight at a time: a stalled Redis must not receive many of them when it continues.
  async function keepBeating(): Promise<void> {
    const mayBeat = redis.status === 'ready' && isConfirmed()
    if (mayBeat) await heartbeat().catch(() => {})
    // The first heartbeat follows the confirmation at once: a starting verifier is not ready before it.
    if (!isClosed) heartbeatTimer = setTimeout(keepBeating, mayBeat ? HEARTBEAT_INTERVAL : READY_INTERVAL).unref()
  }
  let isClosed = false
  let heartbeatTimer = setTimeout(keepBeating, READY_INTERVAL).unref()

  /**
   * Publishes an entry to the feed. Readers assume that a deleted session is already in the feed. In a cluster the feed is on
   * another node than the session, so the feed's replicas must hold the entry before the session is deleted.
   * A single primary replicates both changes in order, so one wait, for the deletion, covers the entry too.
   */
  async function publish(...fields: string[]): Promise<void> {
    const keys = [feedKey, feedRetentionKey] as const
    if (replicated && inCluster) await replicated.run(scripts.lkPublishRevocation.lua, keys, feedRetention, ...fields)
    else await redis.lkPublishRevocation(...keys, feedRetention, ...fields)
  }

  async function revoke(sub: string, sids: readonly string[]): Promise<string[]> {
    const ended: string[] = []
    for (let i = 0; i < sids.length; i += REVOCATIONS_BATCH) {
      // Publish only sessions that live. Otherwise anyone with an old token could fill the feed, which every follower reads.
      // The commands leave together, in one round trip.
      const batch = sids.slice(i, i + REVOCATIONS_BATCH)
      const exists = await Promise.all(batch.map((sid) => redis.exists(sessionKey(sub, sid))))
      const living = batch.filter((_, i) => exists[i] === 1)
      if (living.length > 0) ended.push(...(await revokeBatch(sub, living)))
    }
    // An earlier deletion may not have reached the replicas yet: wait for it.
    if (ended.length === 0) await confirmRevoked(sub)
    return ended
  }

  async function readSession(sub: string, sid: string): Promise<Session | undefined> {
    const key = sessionKey(sub, sid)
    const [hash, expiresAt] = await Promise.all([redis.hgetallBuffer(key), redis.pexpiretime(key)])
    // The session may have expired since its id was read.
    return expiresAt > 0 ? toSession(sub, sid, hash, expiresAt) : undefined
  }

  async function confirmRevoked(sub: string): Promise<void> {
    await replicated?.run(scripts.lkRevokeSessions.lua, [sessionIndexKey(sub)])
  }

  async function revokeBatch(sub: string, sids: readonly string[]): Promise<string[]> {
    // First the feed, then the keys. A crash in between leaves sessions that can be revoked again. In the other order,
    // followers would never receive the revocation.
    await publish(...sids.flatMap((sid) => ['sid', sid]))
    const keys = [sessionIndexKey(sub), ...sids.map((sid) => sessionKey(sub, sid))]
    if (replicated) return (await replicated.run(scripts.lkRevokeSessions.lua, keys, ...sids)) as string[]
    return redis.lkRevokeSessions(keys.length, ...keys, ...sids)
  }

  return {
    create: (session) =>
      withRedisErrors(async () => {
        // Set the epoch before the first session and not with the next heartbeat: followers refuse tokens older than it.
        await redis.lkEpoch(epochKey, STORE_TTL)
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
        const times = { createdAt: now, authenticatedAt: now, lastSeenAt: now, expiresAt }
        return { session: { ...session, generation: 0, ...times }, excess }
      }),

    rotate: (presented, clientId) => rotate({ presented, clientId }),

    reauthenticate: (sub, sid, amr) =>
      withRedisErrors(async () => {
        const key = sessionKey(sub, sid)
        const found = await redis.lkReauthenticate(key, sessionIndexKey(sub), sid, refreshTtl, amr.join(' '))
        return found === 1 ? readSession(sub, sid) : undefined
      }),

    findUsername: (sub, sid) => findUsername(sessionKey(sub, sid)),

    list: (sub) =>
      withRedisErrors(async () => {
        const sids = await redis.zrange(sessionIndexKey(sub), '0', '-1')
        const found = await Promise.all(sids.map(async (sid) => (await readSession(sub, sid)) ?? []))
        return found.flat().sort((a, b) => b.lastSeenAt - a.lastSeenAt)
      }),

    revoke: (sub, sids) => withRedisErrors(() => revoke(sub, sids)),

    confirmRevoked: (sub) => withRedisErrors(() => confirmRevoked(sub)),

    renameUser: (sub, username) =>
      withRedisErrors(async () => {
        const keys = (await redis.zrange(sessionIndexKey(sub), '0', '-1')).map((sid) => sessionKey(sub, sid))
        if (keys.length > 0) await redis.lkRename(keys.length, ...keys, ...toUsernameFields(username))
      }),

    revokeAll: (sub, except) =>
      withRedisErrors(async () => {
        const sids = await redis.zrange(sessionIndexKey(sub), '0', '-1')
        return revoke(
          sub,
          sids.filter((sid) => sid !== except),
        )
      }),

    revokeClient: (clientId, notBefore) =>
      withRedisErrors(async () => {
        const key = clientRevocationKey(clientId)
        // A value that is not a time counts as 0, and the script replaces it.
        const isNew = (parseWholeNumber(await redis.get(key)) ?? 0) < notBefore
        if (isNew) await publish('sub', clientId, 'nbf', String(notBefore))
        if (replicated) await replicated.run(scripts.lkRevokeClient.lua, [key], notBefore, CLIENT_REVOCATION_RETENTION)
        else if (isNew) await redis.lkRevokeClient(key, notBefore, CLIENT_REVOCATION_RETENTION)
        return isNew
      }),

    clientNotBefore: (clientId) =>
      withRedisErrors(async () => {
        const key = clientRevocationKey(clientId)
        const read = () => askWithin(timeout, () => Promise.all([redis.get(key), redis.get(epochKey)]), systemClock)
        let [notBefore, epoch] = await read()
        if (epoch === null) {
          await redis.lkEpoch(epochKey, STORE_TTL)
          ;[notBefore, epoch] = await read()
        }
        // A Redis that lost its data has lost the revocations too. So every token issued before its epoch counts as ended.
        return Math.max(parseTime(key, notBefore ?? '0'), parseTime(epochKey, epoch) - 1)
      }),

    useOnce: (use) => withRedisErrors(() => useOnce(redis, replicated, use)),

    count: () =>
      withRedisErrors(async () => {
        const nodes = isCluster(client) ? client.nodes('master') : [client]
        const counts = await Promise.all(nodes.map(countSessions))
        return counts.reduce((sum, count) => sum + count, 0)
      }),

    readFeed: (from, limit) =>
      withRedisErrors(() => readRedisFeed(redis, { kept: feedRetention, heartbeat }, from, limit)),

    feedAge: () =>
      withRedisErrors(async () => {
        // Read the clock of the node that has the feed.
        const [[last], [seconds, microseconds]] = await Promise.all([
          redis.xrevrange(feedKey, '+', '-', 'COUNT', 1),
          redis.eval("return redis.call('TIME')", 1, feedKey) as Promise<[string, string]>,
        ])
        const now = Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000)
        return last ? Math.max(0, now - Number.parseInt(last[0], 10)) : undefined
      }),

    ping: () =>
      withRedisErrors(async () => {
        const fault = await findFault(client)
        if (fault !== undefined) throw new Error(fault)
      }),

    async close() {
      replicated?.close()
      isClosed = true
      clearTimeout(heartbeatTimer)
    },
  }
}

/** @throws Error if the value is not a Unix time: then the service cannot know which tokens have ended */
function parseTime(key: string, value: string | null): number {
  const seconds = parseWholeNumber(value)
  if (seconds === undefined)
    throw new Error(`the value of ${key} is not a Unix time: delete the key, and revoke the client's tokens again`)
  return seconds
}
