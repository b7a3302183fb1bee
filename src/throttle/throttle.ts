import { createHash } from 'node:crypto'
import type { Cluster, Redis } from 'ioredis'
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible'
import { networkOf } from '../network.js'
import { Unavailable } from '../unavailable.js'

/** Who may try a password again, or sign up again, and when. */
export interface Throttle {
  /**
   * Compares a password, if one of this account may be tried from this address now, and counts what comes of it.
   *
   * @param compare a wrong password, or no such account, is an answer; what it throws counts for nothing
   * @returns the answer, or the seconds to wait before a password may be tried
   */
  attempt<Answer>(
    who: Attempt,
    compare: () => Promise<Answer>,
    isRight: (answer: Answer) => boolean,
  ): Promise<{ answer: Answer } | { wait: number }>
  /** Counts a sign-up from this address. Answers the seconds to wait before another one is taken; 0: this one is. */
  signUp(address: string): Promise<number>
}

/**
 * The one key under which all guesses at a password count, whatever route they come by: the account's id. A user name stands
 * only for an account that does not exist: the same rule holds for both. The two are different keys, even where somebody's
 * user name is the id of another account.
 */
export type AccountKey = { sub: string } | { unknownUsername: string }

export interface Attempt {
  account: AccountKey
  /** Where: what one address may be wrong at one of them, and its wait, says nothing of the other. */
  at: 'sign-in' | 'own password'
  /** An IP address. */
  address: string
}

// From one address an account may be guessed at five times; then it waits 5 s, and twice as long each time, up to 15 min.
const FREE_FAILURES = 5
const FIRST_WAIT = 5
const LONGEST_WAIT = 15 * 60
const FORGOTTEN_AFTER = 60 * 60
// Many addresses together may guess at one account so often in an hour. That stops all but those it is known at: so it
// slows a botnet down, and locks nobody out of the place they always sign in from.
const ACCOUNT_FAILURES = 100
const ACCOUNT_WINDOW = 60 * 60
// One address may be wrong so often, over all accounts. Wide: a whole company may be behind one.
const ADDRESS_FAILURES = 1500
const ADDRESS_WINDOW = 10 * 60
// One address may sign up so often: each sign-up costs a hash, and tells whether a name is taken.
const SIGN_UPS = 300
const SIGN_UP_WINDOW = 60 * 60
const KNOWN_FOR = 20 * 24 * 60 * 60

/** Seconds. As many passwords as may be wrong are being compared: that is over in a moment. */
const MOMENT = 1

/** Counts wrong passwords: in Redis where there is one, so that replicas count together, else in this process. */
export function createThrottle(redis: Redis | Cluster | undefined): Throttle {
  const counter = (name: string, points: number, duration: number): RateLimiterAbstract =>
    redis
      ? new RateLimiterRedis({ storeClient: redis, keyPrefix: `lk1:t:${name}`, points, duration })
      : new RateLimiterMemory({ keyPrefix: name, points, duration })
  const failures = counter('f', FREE_FAILURES, FORGOTTEN_AFTER)
  const waits = counter('w', 1, LONGEST_WAIT)
  const accounts = counter('a', ACCOUNT_FAILURES, ACCOUNT_WINDOW)
  const addresses = counter('i', ADDRESS_FAILURES, ADDRESS_WINDOW)
  const known = counter('k', 1, KNOWN_FOR)
  const signUps = counter('u', SIGN_UPS, SIGN_UP_WINDOW)

  // The library asks for both of these in a transaction, of four commands: in a storm that was a quarter of all garbage.
  async function countOf(counter: RateLimiterAbstract, key: string): Promise<number> {
    if (redis) return Number(await redis.get(counter.getKey(key)))
    return (await counter.get(key))?.consumedPoints ?? 0
  }

  /** 0 where nothing is counted. */
  async function secondsLeft(counter: RateLimiterAbstract, key: string): Promise<number> {
    const milliseconds = redis ? await redis.pttl(counter.getKey(key)) : (await counter.get(key))?.msBeforeNext
    return Math.max(0, Math.ceil((milliseconds ?? 0) / 1000))
  }

  async function ask<Answer>(question: () => Promise<Answer>): Promise<Answer> {
    try {
      return await question()
    } catch (error) {
      throw new Unavailable('redis', `Redis failed: ${(error as Error).message}`, error)
    }
  }

  // How many are being compared in this process: a burst would else be admitted whole, before the first of it has failed.
  // One map for accounts and one for addresses: no text of a caller's is a key of both.
  const compared = { account: new Map<string, number>(), address: new Map<string, number>() }

  function enter(places: Map<string, number>, key: string): number {
    const place = (places.get(key) ?? 0) + 1
    places.set(key, place)
    return place
  }

  function leave(places: Map<string, number>, key: string): void {
    const others = (places.get(key) ?? 0) - 1
    if (others > 0) places.set(key, others)
    else places.delete(key)
  }

  /**
   * Seconds to wait before a password may be tried; 0: now. `places` are those among the passwords that are compared: all
   * before may turn out wrong. And for how many seconds the account will be known at the address; 0: it is not.
   */
  async function waitOf(
    { pair, home, account, address }: Keys,
    places: Places,
  ): Promise<{ wait: number; knownFor: number }> {
    const [own, knownFor, ofAccount, ofAddress] = await Promise.all([
      secondsLeft(waits, pair),
      secondsLeft(known, home),
      countOf(accounts, account),
      countOf(addresses, address),
    ])
    let wait = own
    if (knownFor > 0) return { wait, knownFor }
    for (const [counter, key, count, place, limit] of [
      [accounts, account, ofAccount, places.account, ACCOUNT_FAILURES],
      [addresses, address, ofAddress, places.address, ADDRESS_FAILURES],
    ] as const) {
      if (count >= limit) wait = Math.max(wait, await secondsLeft(counter, key))
      else if (count + place > limit) wait = Math.max(wait, MOMENT)
    }
    return { wait, knownFor }
  }

  async function failed({ pair, account, address }: Keys): Promise<void> {
    const [{ consumedPoints }] = await Promise.all([
      failures.penalty(pair),
      accounts.penalty(account),
      addresses.penalty(address),
    ])
    if (consumedPoints < FREE_FAILURES) return
    await waits.block(pair, Math.min(FIRST_WAIT * 2 ** (consumedPoints - FREE_FAILURES), LONGEST_WAIT))
  }

  /** From now on the address is one that the account is known at. To say so each time would cost as much as to ask. */
  async function succeeded({ pair, home }: Keys, knownFor: number): Promise<void> {
    await Promise.all([failures.delete(pair), knownFor < KNOWN_FOR / 2 && known.set(home, 1, KNOWN_FOR)])
  }

  return {
    async attempt(who, compare, isRight) {
      const keys = keysOf(who)
      const places = {
        account: enter(compared.account, keys.account),
        address: enter(compared.address, keys.address),
      }
      try {
        const { wait, knownFor } = await ask(() => waitOf(keys, places))
        if (wait > 0) return { wait }
        const answer = await compare()
        await ask(() => (isRight(answer) ? succeeded(keys, knownFor) : failed(keys)))
        return { answer }
      } finally {
        leave(compared.account, keys.account)
        leave(compared.address, keys.address)
      }
    },

    async signUp(address) {
      const { consumedPoints, msBeforeNext } = await ask(() => signUps.penalty(networkOf(address)))
      return consumedPoints > SIGN_UPS ? Math.max(1, Math.ceil(msBeforeNext / 1000)) : 0
    },
  }
}

interface Places {
  account: number
  address: number
}

interface Keys {
  /** Of what waits: this account, asked for there, from this network. */
  pair: string
  /** Of what is known: this account and this network. */
  home: string
  account: string
  address: string
}

/** Hashed: a user name is as long as its sender likes, and now and then it is a password. */
function keysOf({ account, at, address }: Attempt): Keys {
  const hash = (...parts: string[]) =>
    createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 22)
  const key = 'sub' in account ? ['sub', account.sub] : ['unknown username', account.unknownUsername]
  const network = networkOf(address)
  return { pair: hash(at, ...key, network), home: hash(...key, network), account: hash(...key), address: network }
}
