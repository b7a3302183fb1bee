import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Moment, systemClock } from '@latchkey/verifier/clock'
import type { Database } from '../database/database.js'
import type { SessionStoreRow } from '../database/schema.js'
import { Unavailable } from '../unavailable.js'
import { describeMismatch, placeOf, type RegistrableStore } from './registrable-store.js'
import { createRegistrationRow } from './registration-row.js'
import type { SessionStore } from './session.js'
import { wrapOperations } from './wrap-operations.js'

export interface Registration {
  /**
   * A service calls this before it serves. Registers the store and empties it, unless another instance runs on another store.
   * If the store does not answer, the service registers it later, when the store answers.
   *
   * @throws SessionStoreRefused if another instance runs on another store
   */
  start(): Promise<void>
  /** Throws unless the store was the registered one at a check in the last {@link MAX_AGE} milliseconds. */
  confirm(): Promise<void>
  isConfirmed(): boolean
  /** The same store. Each operation runs only while the store is the registered one. */
  guard(sessions: SessionStore): SessionStore
  close(): Promise<void>
}

/** The configuration names another store than the registered one. The message names both, and the setting to change. */
export class SessionStoreRefused extends Error {
  override readonly name = 'SessionStoreRefused'
}

/** Milliseconds between two checks of the registration while the service serves. */
const CHECK_INTERVAL = 500
/** Milliseconds between two checks while the service may not serve. */
const RETRY_INTERVAL = 100
/** An operation checks the registration again if the last check is older. Milliseconds. */
const MAX_AGE = 2000
/**
 * Milliseconds in which running instances must answer a starting process. The time is longer than {@link MAX_AGE}: an instance
 * that reads the registration answers, and an instance that cannot read it has stopped serving by then.
 */
const ANSWER_TIMEOUT = 3000
/** Milliseconds for which a starting service retries while the database is busy. */
const START_TIMEOUT = 5000

/**
 * The database registers the session store under an id, and the store holds the same id. So a command in a shell without
 * `REDIS_URL`, or an instance with another Redis, detects that it has the wrong store.
 *
 * A store is emptied when it comes into use. So sessions that an earlier use left in it never count again, even if
 * nobody could reach the store when it was replaced. Each use has a new id, which an instance of an earlier use does not know.
 *
 * @param emptyPrevious empties the previous store, if it can be reached: other services may look up sessions there
 * @param log receives a line when the store changes, or when it may not be used
 */
export function createRegistration(
  database: Database,
  store: RegistrableStore,
  emptyPrevious: (before: SessionStoreRow) => Promise<void>,
  log: { warn(message: string): void; error(message: string): void },
  role: 'service' | 'command',
): Registration {
  const registrationRow = createRegistrationRow(database)
  let row: SessionStoreRow | undefined
  let readAt: Moment = { wall: Number.NEGATIVE_INFINITY, monotonic: Number.NEGATIVE_INFINITY }
  /** Whether the store held the registered id at the last check, on the present connection. */
  let isHeld = false
  /** The store answered with another id than the registered one. */
  let isDisplaced = false
  /** The id under which this process has served. */
  let servedId: string | undefined
  /** The id that this process registered, until the store holds it. */
  let pending: { id: string; isEmptied: boolean } | undefined
  /** `at` is a time of the monotonic clock: setting the wall clock ahead must not shorten the time for an answer. */
  let asked: { id: string; question: string; at: number } | undefined
  /** The reason why this process may never register its store. */
  let refusal: string | undefined
  let reported: string | undefined
  let problem = 'the registration of the session store has not been read yet'
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
      current = await registrationRow.read()
    } catch (error) {
      if (servedId === undefined) throw error
      // Introspection continues while the database is down. If the process was suspended during the attempt, the
      // failed attempt says nothing about the registration of now.
      readAt = begin
      if (age() < MAX_AGE) readAt = systemClock.now()
      return
    }
    row = current
    if (current?.id !== servedId) isHeld = false
    // Answer before `readAt` moves on: an instance that cannot answer must stop serving.
    if (current && current.question !== '' && (await mayAnswer(current))) await registrationRow.answer(current)
    readAt = begin
    if (current === undefined && role === 'command') {
      // No service has created a session yet.
      isHeld = true
      return
    }
    if (current && (await holds(current))) return
    isHeld = false
    problem = refusal ?? describeMismatch(current, store, role)
    if (role === 'service') await takeOver(current)
    if (!isHeld && servedId !== undefined && problem !== reported)
      log.error(`the service answers no requests about sessions: ${problem}`)
    reported = isHeld ? undefined : problem
  }

  async function holds(registered: SessionStoreRow): Promise<boolean> {
    if (registered.kind !== store.kind) return false
    const id = await readId(registered)
    isDisplaced = id !== registered.id
    if (isDisplaced) problem = describeMismatch(registered, store, role)
    if (isDisplaced || registered.ready === 0) return false
    if (role === 'service' && servedId !== registered.id && registered.address !== store.address) {
      await registrationRow.setAddress(registered.id, store.address)
    }
    servedId = registered.id
    isHeld = true
    return true
  }

  /** A failure of the store becomes {@link Unavailable}: the start goes on, and the next check asks again. */
  async function askStore<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    try {
      return await ask()
    } catch (error) {
      throw new Unavailable(store.kind, `the session store failed: ${(error as Error).message}`, error)
    }
  }

  const readId = (registered: SessionStoreRow | undefined) => askStore(() => store.readId(registered))

  /** True for an instance that serves, or that waits until its store answers again. */
  async function mayAnswer(row: SessionStoreRow): Promise<boolean> {
    const { id, kind, address, question } = row
    if (role !== 'service' || kind !== store.kind || isDisplaced || question === asked?.question) return false
    if (id === servedId || id === pending?.id) return true
    if (address !== store.address) return false
    // Two instances that start on an emptied Redis would otherwise each take the other for a running one, and exit.
    const held = await readId(row).catch(() => id)
    return held === id
  }

  /** Registers the store of this process in place of the registered one, unless an instance still runs on that one. */
  async function takeOver(current: SessionStoreRow | undefined): Promise<void> {
    if (current === undefined) return register(undefined, false)
    if (pending && pending.id === current.id) return initialize(pending)
    // The store lost its id and all its data. No instance uses another store, so register it again at once.
    const isOurs = servedId === current.id && current.ready === 1
    if (isOurs && (await readId(current)) === undefined) return register(current, true)
    // Another process registered another store while this process ran. This process has an old configuration and never
    // switches back.
    if (refusal !== undefined || (servedId !== undefined && servedId !== current.id)) return
    if (current.question !== '' && current.question !== asked?.question) {
      asked = { id: current.id, question: current.question, at: performance.now() }
    } else if (asked?.id !== current.id) {
      const question = randomBytes(9).toString('base64url')
      if (await registrationRow.ask(current.id, question)) asked = { id: current.id, question, at: performance.now() }
    } else if (current.question === '') {
      // A running instance has answered.
      if (servedId === undefined && current.ready === 1) refusal = problem
      else if (performance.now() - asked.at > ANSWER_TIMEOUT) asked = undefined
    } else if (performance.now() - asked.at > ANSWER_TIMEOUT) {
      await register(current, false)
    }
  }

  async function register(before: SessionStoreRow | undefined, isEmptied: boolean): Promise<void> {
    const held = await readId(before)
    if (!isEmptied && held !== undefined && held !== before?.id && (await askStore(store.isInUseElsewhere))) {
      refusal = `the Redis at ${store.address} holds the sessions of another database, and a service writes to it: set REDIS_URL to another Redis, or to another database number`
      return
    }
    const id = randomBytes(16).toString('base64url')
    const registered = { id, kind: store.kind, address: store.address, ready: 0, question: '' }
    const isWritten = before
      ? await registrationRow.replace(before, registered)
      : await registrationRow.insert(registered)
    if (!isWritten) return
    pending = { id, isEmptied }
    const hasMoved = !isEmptied && before !== undefined && placeOf(before) !== placeOf(store)
    // A store that never became ready held no session.
    if (before && (hasMoved || before.ready === 1)) {
      const lost = held === undefined ? 'Redis was emptied' : 'Redis held other data'
      const why = hasMoved ? `before, they were in ${placeOf(before)}` : lost
      log.warn(`sessions are now in ${placeOf(store)}: ${why}. Every user must sign in again`)
    }
    await initialize(pending)
    if (!hasMoved) return
    await emptyPrevious(before).catch((error: Error) => {
      log.warn(
        `the previous session store, ${placeOf(before)}, could not be emptied: ${error.message}. Services that look up sessions there still find them: set those services to the new store, and empty the previous store`,
      )
    })
  }

  async function initialize({ id, isEmptied }: { id: string; isEmptied: boolean }): Promise<void> {
    await askStore(() => (isEmptied ? store.writeId(id) : store.initialize(id)))
    const isReady = await registrationRow.markReady(id)
    pending = undefined
    if (isReady) await checkNow()
  }

  async function confirm(): Promise<void> {
    // Check twice: the first check may have started before this process was suspended.
    for (let i = 0; i < 2 && !isConfirmed(); i += 1) {
      // The connection is new and the registration is known, so the database need not be asked.
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
      const deadline = performance.now() + START_TIMEOUT
      while (!isConfirmed()) {
        try {
          await check()
        } catch (error) {
          // The service starts without Redis. It is not ready until Redis answers.
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
      return {
        ...wrapOperations(sessions, () => (run) => (isConfirmed() ? run() : confirm().then(run))),
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
