import { createHash } from 'node:crypto'
import type { Cluster, Redis } from 'ioredis'
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible'
import { networkOf } from '../network.js'
import { withRedisErrors } from '../unavailable.js'
import { createMemoryCodeCounts, createRedisCodeCounts } from './code-counts.js'
import { type CodeThrottle, createCodeThrottle } from './codes.js'

/** Limits how often callers may try a password, and how often they may sign up. */
export interface Throttle extends CodeThrottle {
  /**
   * Begins an attempt, unless the account or the address has to wait. The attempt is then in flight: call
   * {@link Throttle.finish} once, in `finally`.
   *
   * @returns the attempt, or the seconds to wait before the next one
   */
  begin(attempt: Attempt): Promise<StartedAttempt | { wait: number }>
  /** Counts the result. The attempt is no longer in flight after it, even if the count fails. */
  finish(attempt: StartedAttempt, result: AttemptResult): Promise<void>
  /** Counts a sign-up from this address. Returns the seconds to wait; 0 means that this sign-up may go on. */
  signUp(address: string): Promise<number>
}

/**
 * All guesses at one password count under one key, whichever route they use. The key is the account's id. For a name without
 * an account the key is the name, so that both obey the same rule. A name that equals another account's id has its own key.
 */
export type AccountKey = { sub: string } | { unknownUsername: string }

export interface Attempt {
  account: AccountKey
  /**
   * Failures at sign-in make nobody wait where the own password is asked, and the reverse. The limits of an account and of an
   * address count both.
   */
  at: 'sign-in' | 'own password'
  /** An IP address. */
  address: string
}

/** An attempt in flight. */
export interface StartedAttempt {
  keys: Keys
  /** For how many seconds the address stays trusted for this account; 0 means that it is not trusted. */
  trustedFor: number
}

/** `not_compared`: an error came before the answer, and nothing is counted. */
export type AttemptResult = 'success' | 'failure' | 'not_compared'

// One address may fail five times at one account. Then it waits 5 s, and twice as long after each failure, up to 15 min.
const FREE_FAILURES = 5
const FIRST_WAIT = 5
const LONGEST_WAIT = 15 * 60
const FORGOTTEN_AFTER = 60 * 60
// All addresses together may fail 100 times an hour at one account. Past this limit only trusted addresses may try. So the
// limit slows a botnet down, and never locks people out at the places where they usually sign in.
const ACCOUNT_FAILURES = 100
const ACCOUNT_WINDOW = 60 * 60
// One address may fail 1,500 times in 10 min, over all accounts. The limit is wide because a whole company may share an address.
const ADDRESS_FAILURES = 1500
const ADDRESS_WINDOW = 10 * 60
// Each sign-up costs a hash and tells whether a name is taken. One address may sign up 300 times an hour.
const SIGN_UPS = 300
const SIGN_UP_WINDOW = 60 * 60
// After a success, an address stays trusted for the account for 20 days.
const TRUSTED_FOR = 20 * 24 * 60 * 60

/** Seconds. The attempts in flight could reach the limit if all fail. They end within a moment. */
const RETRY_SOON = 1

/** Counts in Redis, so that replicas count together. Without Redis it counts in this process. */
export function createThrottle(redis: Redis | Cluster | undefined): Throttle {
  const counter = (name: string, points: number, duration: number): RateLimiterAbstract =>
    redis
      ? new RateLimiterRedis({ storeClient: redis, keyPrefix: `lk1:t:${name}`, points, duration })
      : new RateLimiterMemory({ keyPrefix: name, points, duration })
  const failures = counter('f', FREE_FAILURES, FORGOTTEN_AFTER)
  const waits = counter('w', 1, LONGEST_WAIT)
  const accounts = counter('a', ACCOUNT_FAILURES, ACCOUNT_WINDOW)
  const addresses = counter('i', ADDRESS_FAILURES, ADDRESS_WINDOW)
  const trusted = counter('k', 1, TRUSTED_FOR)
  const signUps = counter('u', SIGN_UPS, SIGN_UP_WINDOW)

  // These two read Redis directly. The library reads both values in a transaction of four commands, which made a quarter of
  // all garbage during many sign-ins.
  async function readCount(counter: RateLimiterAbstract, key: string): Promise<number> {
    if (redis) return Number(await redis.get(counter.getKey(key)))
    return (await counter.get(key))?.consumedPoints ?? 0
  }

  /** Seconds until the counter expires; 0 when nothing is counted. */
  async function readSecondsLeft(counter: RateLimiterAbstract, key: string): Promise<number> {
    const milliseconds = redis ? await redis.pttl(counter.getKey(key)) : (await counter.get(key))?.msBeforeNext
    return Math.max(0, Math.ceil((milliseconds ?? 0) / 1000))
  }

  // The attempts in flight in this process. Without these counts, a burst would pass whole before its first attempt fails.
  // Accounts and addresses have a map each, so that no text of a caller is a key in both.
  const inFlight = { account: new Map<string, number>(), address: new Map<string, number>() }

  /** Returns the new number of attempts in flight. */
  function increment(counts: Map<string, number>, key: string): number {
    const count = (counts.get(key) ?? 0) + 1
    counts.set(key, count)
    return count
  }

  function decrement(counts: Map<string, number>, key: string): void {
    const count = (counts.get(key) ?? 0) - 1
    if (count > 0) counts.set(key, count)
    else counts.delete(key)
  }

  function leaveFlight({ account, address }: Keys): void {
    decrement(inFlight.account, account)
    decrement(inFlight.address, address)
  }

  /**
   * The seconds to wait before a password may be tried, 0 for none, and the seconds for which the address is trusted.
   *
   * @param counts the attempts in flight, this one included: all of them may fail
   */
  async function readWait(
    { pair, home, account, address }: Keys,
    counts: { account: number; address: number },
  ): Promise<{ wait: number; trustedFor: number }> {
    const [ownWait, trustedFor, accountFailures, addressFailures] = await Promise.all([
      readSecondsLeft(waits, pair),
      readSecondsLeft(trusted, home),
      readCount(accounts, account),
      readCount(addresses, address),
    ])
    let wait = ownWait
    if (trustedFor > 0) return { wait, trustedFor }
    for (const [counter, key, failed, flying, limit] of [
      [accounts, account, accountFailures, counts.account, ACCOUNT_FAILURES],
      [addresses, address, addressFailures, counts.address, ADDRESS_FAILURES],
    ] as const) {
      if (failed >= limit) wait = Math.max(wait, await readSecondsLeft(counter, key))
      else if (failed + flying > limit) wait = Math.max(wait, RETRY_SOON)
    }
    return { wait, trustedFor }
  }

  async function countFailure({ pair, account, address }: Keys): Promise<void> {
    const [{ consumedPoints }] = await Promise.all([
      failures.penalty(pair),
      accounts.penalty(account),
      addresses.penalty(address),
    ])
    if (consumedPoints < FREE_FAILURES) return
    await waits.block(pair, Math.min(FIRST_WAIT * 2 ** (consumedPoints - FREE_FAILURES), LONGEST_WAIT))
  }

  /** The address is trusted for this account now. A write costs as much as a read, so trust is renewed after half of its time. */
  async function countSuccess({ keys: { pair, home }, trustedFor }: StartedAttempt): Promise<void> {
    await Promise.all([failures.delete(pair), trustedFor < TRUSTED_FOR / 2 && trusted.set(home, 1, TRUSTED_FOR)])
  }

  const codeLimits = {
    free: FREE_FAILURES,
    firstWait: FIRST_WAIT * 1000,
    longestWait: LONGEST_WAIT * 1000,
    forgottenAfter: FORGOTTEN_AFTER * 1000,
  }
  const codes = createCodeThrottle(
    redis ? createRedisCodeCounts(redis, codeLimits) : createMemoryCodeCounts(codeLimits),
  )

  return {
    beginCode: (sub, at) => withRedisErrors(() => codes.beginCode(sub, at)),
    finishCode: (code, result) => withRedisErrors(() => codes.finishCode(code, result)),

    async begin(attempt) {
      const keys = hashKeys(attempt)
      const counts = {
        account: increment(inFlight.account, keys.account),
        address: increment(inFlight.address, keys.address),
      }
      let isStarted = false
      try {
        const { wait, trustedFor } = await withRedisErrors(() => readWait(keys, counts))
        if (wait > 0) return { wait }
        isStarted = true
        return { keys, trustedFor }
      } finally {
        if (!isStarted) leaveFlight(keys)
      }
    },

    async finish(attempt, result) {
      try {
        if (result === 'success') await withRedisErrors(() => countSuccess(attempt))
        if (result === 'failure') await withRedisErrors(() => countFailure(attempt.keys))
      } finally {
        leaveFlight(attempt.keys)
      }
    },

    async signUp(address) {
      const { consumedPoints, msBeforeNext } = await withRedisErrors(() => signUps.penalty(networkOf(address)))
      return consumedPoints > SIGN_UPS ? Math.max(1, Math.ceil(msBeforeNext / 1000)) : 0
    },
  }
}

interface Keys {
  /** The account, the kind of attempt, and the network: for the wait. */
  pair: string
  /** The account and the network: for trust. */
  home: string
  account: string
  address: string
}

/** Hashes the keys: a user name may be long, and people sometimes type their password into its field. */
function hashKeys({ account, at, address }: Attempt): Keys {
  const hash = (...parts: string[]) =>
    createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 22)
  const key = 'sub' in account ? ['sub', account.sub] : ['unknown username', account.unknownUsername]
  const network = networkOf(address)
  return { pair: hash(at, ...key, network), home: hash(...key, network), account: hash(...key), address: network }
}
