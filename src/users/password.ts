import { type Algorithm, hash, type Options } from '@node-rs/argon2'
import pLimit from 'p-limit'
import { Unavailable } from '../unavailable.js'
import { type PasswordHash, readPasswordHash } from './password-hash.js'
import { createTurns } from './turns.js'

export type HashCost = 'full' | 'test'

/**
 * `full` is the recommendation of OWASP, and the second one of RFC 9106, for argon2id: 10 ms of a core. `test` is the least that argon2
 * allows: a test suite hashes thousands of passwords. Production refuses it.
 */
const COSTS = {
  full: { memoryCost: 19_456, timeCost: 2 },
  test: { memoryCost: 8, timeCost: 1 },
} as const
type Cost = (typeof COSTS)[HashCost]

/** A user that does not exist is checked against this hash: the same parameters, so the same work. No password has it. */
const dummyHash = ({ memoryCost, timeCost }: Cost) =>
  readPasswordHash(
    `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA`,
  ) as PasswordHash

/**
 * For each that is hashed at once, so many sign-ins are begun and not done: one is hashed, and the look-ups of the next ones
 * are made meanwhile. Of a hundred that come together the look-ups would otherwise be made together, and nothing else be
 * answered meanwhile. And what is begun keeps its place: only those that wait can give way to another network.
 */
const BEGUN_AT_ONCE = 4

export interface PasswordHashing {
  /**
   * Does what leads to a comparison, and the comparison, when its turn comes.
   *
   * @param address of the caller: callers share the queue by their networks
   * @throws Unavailable at once where no more may wait, or later where the place is given to another network; and where a
   * store failed while it waited, with that failure: what is not there is not asked for by one after the other.
   */
  inTurn<Result>(address: string | undefined, work: (passwords: Passwords) => Promise<Result>): Promise<Result>
  /** {@link Passwords.hash} in a turn of its own. */
  hash(password: string, address?: string): Promise<string>
  /** How many are at work, and how many wait. */
  load(): { active: number; waiting: number }
}

/** What may be done within a turn. */
export interface Passwords {
  /** A PHC string of the password, with a random salt and the parameters of today. */
  hash(password: string): Promise<string>
  /**
   * Whether the password is the one of this hash. With none (there is no such user), or one that cannot be taken, it does
   * the work that ours takes, and answers no.
   */
  verify(stored: string | undefined, password: string): Promise<boolean>
  /** Whether the hash is of another algorithm, or of weaker parameters, than those of today. */
  isOutdated(stored: string): boolean
}

/** Told of each password, in milliseconds. */
export interface HashingTimes {
  waited(milliseconds: number): void
  hashed(milliseconds: number): void
  refused(): void
}

export interface PasswordHashingOptions {
  /** How many at once. Each takes a thread of libuv's pool, a core, and 19 MiB. */
  concurrency: number
  /** How many may wait. Past it, hashing throws {@link Unavailable} at once: a queue that only grows helps nobody. */
  queue: number
  cost?: HashCost
  times?: HashingTimes
}

/**
 * Hashing behind a gate: argon2id, and what an import has brought. Without the gate a storm of sign-ins takes every core
 * and every thread of the pool, and introspection, which needs neither, waits with it.
 */
export function createPasswordHashing({
  concurrency,
  queue,
  cost = 'full',
  times,
}: PasswordHashingOptions): PasswordHashing {
  const parameters = { algorithm: 2 satisfies Algorithm.Argon2id, parallelism: 1, ...COSTS[cost] } as Options
  const dummy = dummyHash(COSTS[cost])
  const isOutdated = (stored: string) => isWeaker(stored, COSTS[cost])
  const hashing = pLimit(concurrency)
  const turns = createTurns({
    atOnce: concurrency * BEGUN_AT_ONCE,
    places: concurrency + queue,
    refusal() {
      times?.refused()
      return new Unavailable('hashing', 'too many passwords wait to be hashed')
    },
  })
  let lastFailure = { at: Number.NEGATIVE_INFINITY, error: undefined as unknown }

  function inTurn<Result>(
    address: string | undefined,
    work: (passwords: Passwords) => Promise<Result>,
  ): Promise<Result> {
    const arrived = performance.now()
    return turns.take(address, async () => {
      if (lastFailure.at >= arrived) throw lastFailure.error
      try {
        return await work(passwordsOf(performance.now() - arrived))
      } catch (error) {
        if (error instanceof Unavailable) lastFailure = { at: performance.now(), error }
        throw error
      }
    })
  }

  /** Of a turn that came after so many milliseconds. */
  function passwordsOf(waited: number): Passwords {
    return {
      hash: (password) => gate(() => hash(normalize(password), parameters)),
      async verify(stored, password) {
        const own = normalize(password)
        const read = stored === undefined ? undefined : readPasswordHash(stored)
        if (stored === undefined || typeof read !== 'object') {
          await gate(() => dummy.matches(own))
          return false
        }
        // Who made another system's hash may not have normalized: then what was typed is what was hashed.
        const tries = isOutdated(stored) ? new Set([own, password]) : [own]
        return gate(async () => {
          for (const one of tries) if (await read.matches(one)) return true
          return false
        })
      },
      isOutdated,
    }

    function gate<Result>(work: () => Promise<Result>): Promise<Result> {
      const asked = performance.now()
      return hashing(async () => {
        const begin = performance.now()
        times?.waited(waited + begin - asked)
        const result = await work()
        times?.hashed(performance.now() - begin)
        return result
      })
    }
  }

  return {
    inTurn,
    hash: (password, address) => inTurn(address, ({ hash }) => hash(password)),
    load: () => ({ active: hashing.activeCount, waiting: turns.taken() - hashing.activeCount }),
  }
}

function isWeaker(stored: string, { memoryCost, timeCost }: Cost): boolean {
  const match = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$/.exec(stored)
  return !match || Number(match[1]) < memoryCost || Number(match[2]) < timeCost
}

/** Keyboards differ in how they compose a letter; the password is the same (NIST SP 800-63B-4 §3.1.1.2). */
function normalize(password: string): string {
  return password.normalize('NFC')
}

export type PasswordRule = 'too_short' | 'too_long' | 'common' | 'is_username'

const MAX_LENGTH = 256

export function passwordRuleText(rule: PasswordRule, minLength: number): string {
  switch (rule) {
    case 'too_short':
      return `the password is too short: use ${minLength} characters or more; several words are easy to remember`
    case 'too_long':
      return `the password is too long: use ${MAX_LENGTH} characters or fewer`
    case 'common':
      return 'the password is one of the most used ones, or repeats itself, and is tried first by attackers: choose another'
    case 'is_username':
      return 'the password is the user name: choose another'
  }
}

/** The rule that a new password breaks, or undefined. No rule asks for kinds of characters (NIST SP 800-63B-4 §3.1.1.2). */
export async function brokenPasswordRule(
  password: string,
  { username, minLength }: { username: string; minLength: number },
): Promise<PasswordRule | undefined> {
  const characters = [...normalize(password)]
  if (characters.length < minLength) return 'too_short'
  if (characters.length > MAX_LENGTH) return 'too_long'
  const plain = normalize(password).toLowerCase()
  if (plain === username.normalize('NFC').toLowerCase()) return 'is_username'
  return (await isCommon(plain)) ? 'common' : undefined
}

let commonPasswords: Promise<Set<string>> | undefined

async function isCommon(password: string): Promise<boolean> {
  // 16 MB and 20 ms: only a process that takes new passwords pays for it.
  commonPasswords ??= import('@zxcvbn-ts/language-common').then(
    ({ dictionary }) => new Set(dictionary['passwords-common'].map(String)),
  )
  const common = await commonPasswords
  const unit = repeatedUnit(password)
  return common.has(password) || (unit.length < password.length && (unit.length <= 4 || common.has(unit)))
}

/** The shortest text that, written again and again, gives `text`: all of it where nothing repeats. */
function repeatedUnit(text: string): string {
  for (let length = 1; length <= text.length / 2 + 1 && length < text.length; length += 1) {
    if (text.slice(length) === text.slice(0, -length)) return text.slice(0, length)
  }
  return text
}
