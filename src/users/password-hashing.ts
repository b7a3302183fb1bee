import { type Algorithm, hash, type Options } from '@node-rs/argon2'
import pLimit from 'p-limit'
import { Unavailable } from '../unavailable.js'
import { createFairQueue } from './fair-queue.js'
import type { PasswordHash } from './hash-formats/password-hash.js'
import { readPasswordHash } from './hash-formats/read-hash.js'

type HashCost = 'full' | 'test'

/**
 * argon2id parameters. `full` is a recommendation of OWASP (19 MiB, 2 passes, 1 lane): 10 ms of a core. `test` is the
 * minimum of argon2, because a test suite hashes thousands of passwords. Production refuses `test`.
 */
const COSTS = {
  full: { memoryCost: 19_456, timeCost: 2 },
  test: { memoryCost: 8, timeCost: 1 },
} as const
type Cost = (typeof COSTS)[HashCost]

/** The hash for unknown users. It has the same parameters, so a check takes the same work. No password matches it. */
const dummyHash = ({ memoryCost, timeCost }: Cost) =>
  readPasswordHash(
    `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA`,
  ) as PasswordHash

/**
 * Slots for each password that is hashed at the same time. One caller hashes while the next callers wait for their database queries.
 * More slots would start the queries of a hundred callers together, and no other request would get an answer meanwhile. A
 * caller that holds a slot keeps it: only waiting callers can lose their place to another network.
 */
const SLOTS_PER_HASH = 4

export interface PasswordHashing {
  /**
   * Waits for a slot, and holds it while `work` runs. If `work` throws `Unavailable`, all callers that wait now get that error:
   * they must not try a failed store one after the other.
   *
   * @param address of the caller. Networks share the queue fairly
   * @throws Unavailable at once when the queue is full, and later when another network gets this place
   */
  withSlot<Result>(address: string | undefined, work: (slot: HashingSlot) => Promise<Result>): Promise<Result>
  /** {@link HashingSlot.hash} in its own slot. */
  hash(password: string, address?: string): Promise<string>
  /** How many passwords are hashed now, and how many callers wait. */
  load(): { active: number; waiting: number }
}

export interface HashingSlot {
  /** A PHC string of the password, with a random salt and the current parameters. */
  hash(password: string): Promise<string>
  /**
   * Whether the password matches the hash. Returns false for no hash (an unknown user) and for an unreadable hash, after the
   * same work as for a current hash.
   */
  verify(stored: string | undefined, password: string): Promise<boolean>
  /** Whether the hash has another algorithm, or weaker parameters, than new hashes have. */
  isOutdated(stored: string): boolean
}

/** Receives the times of each password, in milliseconds. */
export interface HashingObserver {
  waited(milliseconds: number): void
  hashed(milliseconds: number): void
  refused(): void
}

interface PasswordHashingOptions {
  /** How many passwords are hashed at the same time. Each takes a thread of libuv's pool, a core, and 19 MiB. */
  concurrency: number
  /** How many may wait. More callers get {@link Unavailable} at once, because a queue without a limit only grows. */
  queue: number
  cost?: HashCost
  observer?: HashingObserver
}

/**
 * Hashes with argon2id, and checks the formats that an import may bring. The limit on concurrency protects introspection:
 * without it, many sign-ins would take every core and every thread of the pool.
 */
export function createPasswordHashing({
  concurrency,
  queue,
  cost = 'full',
  observer,
}: PasswordHashingOptions): PasswordHashing {
  const parameters = { algorithm: 2 satisfies Algorithm.Argon2id, parallelism: 1, ...COSTS[cost] } as Options
  const dummy = dummyHash(COSTS[cost])
  const isOutdated = (stored: string) => isWeaker(stored, COSTS[cost])
  const hashing = pLimit(concurrency)
  const slots = createFairQueue({
    slots: concurrency * SLOTS_PER_HASH,
    capacity: concurrency + queue,
    createRefusal() {
      observer?.refused()
      return new Unavailable('hashing', 'too many passwords wait to be hashed')
    },
  })
  let lastFailure = { at: Number.NEGATIVE_INFINITY, error: undefined as unknown }

  async function withSlot<Result>(
    address: string | undefined,
    work: (slot: HashingSlot) => Promise<Result>,
  ): Promise<Result> {
    const arrived = performance.now()
    await slots.acquire(address)
    try {
      if (lastFailure.at >= arrived) throw lastFailure.error
      return await work(createSlot(performance.now() - arrived))
    } catch (error) {
      if (error instanceof Unavailable && error !== lastFailure.error) lastFailure = { at: performance.now(), error }
      throw error
    } finally {
      slots.release()
    }
  }

  /** @param waited for the slot, in milliseconds */
  function createSlot(waited: number): HashingSlot {
    return {
      hash: (password) => limit(() => hash(normalizePassword(password), parameters)),
      async verify(stored, password) {
        const own = normalizePassword(password)
        const read = stored === undefined ? undefined : readPasswordHash(stored)
        if (stored === undefined || typeof read !== 'object') {
          await limit(() => dummy.matches(own))
          return false
        }
        // Another system may have hashed the password as it was typed, without normalizing it.
        const spellings = isOutdated(stored) ? new Set([own, password]) : [own]
        return limit(async () => {
          for (const spelling of spellings) if (await read.matches(spelling)) return true
          return false
        })
      },
      isOutdated,
    }

    function limit<Result>(work: () => Promise<Result>): Promise<Result> {
      const queued = performance.now()
      return hashing(async () => {
        const begin = performance.now()
        observer?.waited(waited + begin - queued)
        const result = await work()
        observer?.hashed(performance.now() - begin)
        return result
      })
    }
  }

  return {
    withSlot,
    hash: (password, address) => withSlot(address, (slot) => slot.hash(password)),
    load: () => ({ active: hashing.activeCount, waiting: slots.size() - hashing.activeCount }),
  }
}

function isWeaker(stored: string, { memoryCost, timeCost }: Cost): boolean {
  const match = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$/.exec(stored)
  return !match || Number(match[1]) < memoryCost || Number(match[2]) < timeCost
}

/** Keyboards compose letters differently, and the password stays the same (NIST SP 800-63B-4 §3.1.1.2). */
export function normalizePassword(password: string): string {
  return password.normalize('NFC')
}
