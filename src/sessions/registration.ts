import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Moment, systemClock } from '@latchkey/verifier/clock'
import type { Database } from '../database/database.js'
import type { SessionStoreRow } from '../database/schema.js'
import { Unavailable } from '../unavailable.js'
import { operations } from './around.js'
import type { SessionStore } from './session.js'

/** A store of sessions, as the database registers it. */
export interface RegistrableStore {
  readonly kind: SessionStoreRow['kind']
  /** For people: no credentials. */
  readonly address: string
  /** Waits for the first connection, for a moment. */
  connect(): Promise<void>
  /** Calls back when the connection is lost, and when there is one again. */
  watchConnection(onLost: () => void, onBack: () => void): void
  /** The id that the store itself holds. Throws where the store does not answer. */
  readId(registered: SessionStoreRow | undefined): Promise<string | undefined>
  /** Ends whatever the store holds, all tokens that clients got for themselves, and then writes the id. */
  initialize(id: string): Promise<void>
  /** Writes the id into a store that has lost all it held. */
  writeId(id: string): Promise<void>
  /** Whether a service of another database is writing to the store. */
  isInUseElsewhere(): Promise<boolean>
}

export interface Registration {
  /**
   * For a service, before it serves. Registers the store where no other instance runs on another one, and empties it then.
   * Where the store does not answer, that is done when it does.
   *
   * @throws SessionStoreRefused where another instance runs on another store
   */
  start(): Promise<void>
  /** Throws unless the store is the registered one, as far as is known from the last two seconds. */
  confirm(): Promise<void>
  isConfirmed(): boolean
  /** The same store, each of whose operations is done only while the store is the registered one. */
  guard(sessions: SessionStore): SessionStore
  close(): Promise<void>
}

/** The sessions are in another store than the configuration says. The message says which, and what to set. */
export class SessionStoreRefused extends Error {
  override readonly name = 'SessionStoreRefused'
}

/** How often a service reads the registration, in milliseconds; and while it may not serve. */
const CHECK_INTERVAL = 500
const RETRY_INTERVAL = 100
/** A registration that was read longer ago is read again before an operation. Milliseconds. */
const MAX_AGE = 2000
/**
 * Running instances have so long to answer a starting process, in milliseconds. More than {@link MAX_AGE}: an instance that
 * reads the registration answers, and an instance that does not read the registration has stopped by then.
 */
const ANSWER_TIME = 3000
/** A start asks a database that is busy again for so long. Milliseconds. */
const START_TIME = 5000

/**
 * Which store the sessions are in stands in the database, under an id that the store holds too. That is how a command in a
 * shell without `REDIS_URL`, or an instance with another Redis, finds out that it would look in the wrong place.
 *
 * A store is emptied when it comes into use. So what it held when it was left behind never counts again, whether or not it
 * could be reached then. Each time it gets a new id: an instance that was on it before is not fooled either.
 *
 * @param leave empties the store that was registered before, if it can be reached: other services may look sessions up there
 * @param log is told when the store changes, or may not be used
 */
export function createRegistration(
  { db }: Database,
  store: RegistrableStore,
  leave: (before: SessionStoreRow) => Promise<void>,
  log: { warn(message: string): void; error(message: string): void },
  role: 'service' | 'command',
): Registration {
  let row: SessionStoreRow | undefined
  let readAt: Moment = { wall: Number.NEGATIVE_INFINITY, monotonic: Number.NEGATIVE_INFINITY }
  /** Whether the store held the registered id when it was read last, on this connection. */
  let isHeld = false
  /** The store was reached, and held another id than the registered one. */
  let isDisplaced = false
  /** The id under which this process has served. */
  let servedId: string | undefined
  /** The id that this process registered, until the store holds it. */
  let pending: { id: string; isEmptied: boolean } | undefined
  /** By the monotonic clock alone: to set the wall clock ahead must not shorten the time for an answer. */
  let asked: { id: string; question: string; at: number } | undefined
  /** Why this process may not take over, whatever comes later. */
  let refusal: string | undefined
  let reported: string | undefined
  let problem = 'the registered store of sessions is not known yet'
  let checking: Promise<void> | undefined
  let isClosed = false

  const age = () => systemClock.elapsedSince(readAt)
  const isConfirmed = () => isHeld && age() < MAX_AGE

  function check(): Promise<void> {
    checking ??= checkNow().finally(() => {
      checking = undefined
    })
    return checking
  }

  async function checkNow(): Promise<void> {
    const begin = systemClock.now()
    let current: SessionStoreRow | undefined
    try {
      current = await db.selectFrom('session_store').selectAll().executeTakeFirst()
    } catch (error) {
      if (servedId === undefined) throw error
      // Introspection goes on while the database is away. An attempt that was suspended in its midst says nothing.
      readAt = begin
      if (age() < MAX_AGE) readAt = systemClock.now()
      return
    }
    row = current
    if (current?.id !== servedId) isHeld = false
    // Before the time counts as read: whoever cannot answer stops.
    if (current && current.question !== '' && mayAnswer(current)) await answer(current)
    readAt = begin
    if (current === undefined && role === 'command') {
      // No service has begun a session yet.
      isHeld = true
      return
    }
    if (current && (await holds(current))) return
    isHeld = false
    problem = refusal ?? describe(current)
    if (role === 'service') await takeOver(current)
    if (!isHeld && servedId !== undefined && problem !== reported) log.error(`no sessions are served: ${problem}`)
    reported = isHeld ? undefined : problem
  }

  async function holds(registered: SessionStoreRow): Promise<boolean> {
    if (registered.kind !== store.kind) return false
    const id = await readId(registered)
    isDisplaced = id !== registered.id
    if (isDisplaced) problem = describe(registered)
    if (isDisplaced || registered.ready === 0) return false
    if (role === 'service' && servedId !== registered.id && registered.address !== store.address) {
      await db.updateTable('session_store').set({ address: store.address }).where('id', '=', registered.id).execute()
    }
    servedId = registered.id
    isHeld = true
    return true
  }

  async function readId(registered: SessionStoreRow | undefined): Promise<string | undefined> {
    try {
      return await store.readId(registered)
    } catch (error) {
      throw new Unavailable(store.kind, `the store of sessions failed: ${(error as Error).message}`, error)
    }
  }

  /** An instance that serves, or waits for its store to come back. */
  function mayAnswer({ id, kind, address, question }: SessionStoreRow): boolean {
    if (role !== 'service' || kind !== store.kind || isDisplaced || question === asked?.question) return false
    return id === servedId || id === pending?.id || address === store.address
  }

  async function answer({ id, question }: SessionStoreRow): Promise<void> {
    await db
      .updateTable('session_store')
      .set({ question: '' })
      .where('id', '=', id)
      .where('question', '=', question)
      .execute()
  }

  /** Registers this process's store in the place of another one, if no instance runs on that. */
  async function takeOver(current: SessionStoreRow | undefined): Promise<void> {
    if (current === undefined) return register(undefined, false)
    if (pending && pending.id === current.id) return initialize(pending)
    // All that the store held is gone, with the id: nobody was signed out by us, and sign-ins go on at once.
    const isOurs = servedId === current.id && current.ready === 1
    if (isOurs && (await readId(current)) === undefined) return register(current, true)
    // The store was switched while this process ran: this process has an old configuration, and never switches back.
    if (refusal !== undefined || (servedId !== undefined && servedId !== current.id)) return
    if (current.question !== '' && current.question !== asked?.question) {
      asked = { id: current.id, question: current.question, at: performance.now() }
    } else if (asked?.id !== current.id) {
      const question = randomBytes(9).toString('base64url')
      const { numUpdatedRows } = await db
        .updateTable('session_store')
        .set({ question })
        .where('id', '=', current.id)
        .where('question', '=', '')
        .executeTakeFirst()
      if (numUpdatedRows > 0n) asked = { id: current.id, question, at: performance.now() }
    } else if (current.question === '') {
      // An instance has answered.
      if (servedId === undefined && current.ready === 1) refusal = problem
      else if (performance.now() - asked.at > ANSWER_TIME) asked = undefined
    } else if (performance.now() - asked.at > ANSWER_TIME) {
      await register(current, false)
    }
  }

  async function register(before: SessionStoreRow | undefined, isEmptied: boolean): Promise<void> {
    const held = await readId(before)
    if (!isEmptied && held !== undefined && held !== before?.id && (await store.isInUseElsewhere())) {
      refusal = `the Redis at ${store.address} has the sessions of another database, and a service writes to it: set REDIS_URL to a Redis, or a database number, of its own`
      return
    }
    const id = randomBytes(16).toString('base64url')
    const registered = { id, kind: store.kind, address: store.address, ready: 0, question: '' }
    if (!(before ? await replace(before, registered) : await insert(registered))) return
    pending = { id, isEmptied }
    if (before) {
      const why = isEmptied ? 'Redis was emptied' : `they were in ${placeOf(before)}`
      log.warn(`sessions are in ${placeOf(store)} from now on: ${why}. Everybody signs in again`)
    }
    await initialize(pending)
    if (!before || isEmptied) return
    await leave(before).catch((error: Error) => {
      log.warn(
        `${placeOf(before)} is left behind, and could not be emptied: ${error.message}. Services that look sessions up there still find them: set those services to the new store, and empty the old store`,
      )
    })
  }

  async function insert(registered: Omit<SessionStoreRow, 'one'>): Promise<boolean> {
    const { numInsertedOrUpdatedRows } = await db
      .insertInto('session_store')
      .values({ one: 1, ...registered })
      .onConflict((conflict) => conflict.column('one').doNothing())
      .executeTakeFirst()
    return (numInsertedOrUpdatedRows ?? 0n) > 0n
  }

  /** Answers whether it did: not where another process has registered its store since, or an instance has answered. */
  async function replace(before: SessionStoreRow, registered: Omit<SessionStoreRow, 'one'>): Promise<boolean> {
    const { numUpdatedRows } = await db
      .updateTable('session_store')
      .set(registered)
      .where('id', '=', before.id)
      .where('question', '=', before.question)
      .executeTakeFirst()
    return numUpdatedRows > 0n
  }

  async function initialize({ id, isEmptied }: { id: string; isEmptied: boolean }): Promise<void> {
    try {
      await (isEmptied ? store.writeId(id) : store.initialize(id))
    } catch (error) {
      throw new Unavailable(store.kind, `the store of sessions failed: ${(error as Error).message}`, error)
    }
    const { numUpdatedRows } = await db
      .updateTable('session_store')
      .set({ ready: 1 })
      .where('id', '=', id)
      .executeTakeFirst()
    pending = undefined
    if (numUpdatedRows > 0n) await checkNow()
  }

  function describe(registered: SessionStoreRow | undefined): string {
    if (!registered) return 'no store of sessions is registered in the database yet'
    const fault = `the database registers that the sessions are in ${placeOf(registered)}`
    const same = 'as the running service has it'
    const remedy =
      registered.kind === 'database'
        ? `REDIS_URL is set: unset it, ${same}`
        : store.kind === 'database'
          ? `REDIS_URL is not set: set it ${same}`
          : `the Redis at ${store.address} does not hold them: set REDIS_URL ${same}`
    const move = role === 'service' ? '. To move the sessions, stop every instance first: everybody signs in again' : ''
    return `${fault}, and ${remedy}${move}`
  }

  async function confirm(): Promise<void> {
    // Once more where the first check had begun before this process was suspended.
    for (let i = 0; i < 2 && !isConfirmed(); i += 1) {
      // The connection is new, and the registration is known: the database is not asked.
      if (row && !isHeld && row.id === servedId && age() < MAX_AGE && (await holds(row))) return
      await check()
    }
    if (isConfirmed()) return
    throw role === 'command' ? new SessionStoreRefused(problem) : new Unavailable(store.kind, problem)
  }

  async function watch(): Promise<void> {
    while (!isClosed) {
      await sleep(isHeld ? CHECK_INTERVAL : RETRY_INTERVAL, undefined, { ref: false })
      if (!isClosed) await check().catch(() => {})
    }
  }

  store.watchConnection(
    () => {
      isHeld = false
      isDisplaced = false
    },
    () => void confirm().catch(() => {}),
  )

  return {
    async start() {
      await store.connect()
      const deadline = performance.now() + START_TIME
      while (!isConfirmed()) {
        try {
          await check()
        } catch (error) {
          // The service starts without Redis, is not ready, and heals.
          if (error instanceof Unavailable && error.dependency === 'redis') break
          if (performance.now() > deadline) throw error
        }
        if (refusal !== undefined) throw new SessionStoreRefused(refusal)
        if (!isConfirmed()) await sleep(RETRY_INTERVAL)
      }
      void watch()
    },

    async confirm() {
      if (!isConfirmed()) await confirm()
    },

    isConfirmed,

    guard(sessions) {
      const guarded: Record<string, unknown> = {}
      for (const operation of operations) {
        const call = sessions[operation] as (...args: unknown[]) => Promise<unknown>
        guarded[operation] = (...args: unknown[]) =>
          isConfirmed() ? call(...args) : confirm().then(() => call(...args))
      }
      return {
        ...sessions,
        ...guarded,
        async ping() {
          await sessions.ping()
          if (!isConfirmed()) await confirm()
        },
      }
    },

    async close() {
      isClosed = true
      await checking?.catch(() => {})
    },
  }
}

function placeOf({ kind, address }: Pick<SessionStoreRow, 'kind' | 'address'>): string {
  return kind === 'redis' ? `the Redis at ${address}` : 'the database'
}
