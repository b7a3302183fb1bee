import { setTimeout as sleep } from 'node:timers/promises'
import { askWithin, systemClock } from '@latchkey/verifier/clock'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Kysely,
  type QueryResult,
  sql,
} from 'kysely'
import { Unavailable } from '../unavailable.js'
import type { DatabaseObserver } from './database.js'
import type { Tables } from './schema.js'

/** An older answer is asked for a second time. Postgres has 550 ms for a statement. Milliseconds. */
const LONGEST_AGE = 1000

/** The dialect, with every failure of a query or a connection turned into {@link Unavailable}. */
export function withUnavailable(dialect: Dialect, times?: DatabaseObserver): Dialect {
  return {
    createAdapter: () => dialect.createAdapter(),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createDriver: () => guardedDriver(dialect.createDriver(), times),
  }
}

function guardedDriver(driver: Driver, times: DatabaseObserver | undefined): Driver {
  const guard = async <Result>(act: () => Promise<Result>): Promise<Result> => {
    try {
      return await act()
    } catch (error) {
      times?.failed()
      throw new Unavailable('database', `the database failed: ${describe(error as Error)}`, error)
    }
  }
  const timed = async <Result>(act: () => Promise<Result>, tell: ((milliseconds: number) => void) | undefined) => {
    const begin = performance.now()
    const result = await guard(act)
    tell?.(performance.now() - begin)
    return result
  }
  const guardedConnections = new WeakMap<DatabaseConnection, DatabaseConnection>()
  const inTransaction = new WeakSet<DatabaseConnection>()
  const originals = new WeakMap<DatabaseConnection, DatabaseConnection>()
  const original = (connection: DatabaseConnection) => originals.get(connection) ?? connection
  return {
    init: () => guard(() => driver.init()),
    async acquireConnection() {
      const connection = await timed(() => driver.acquireConnection(), times?.connected)
      let wrapped = guardedConnections.get(connection)
      if (!wrapped) {
        wrapped = {
          // A transaction would have to run again from its beginning: only migrations have one.
          executeQuery: <Row>(query: CompiledQuery) =>
            timed(
              () =>
                inTransaction.has(connection)
                  ? connection.executeQuery<Row>(query)
                  : retryUndone(() => executeNow<Row>(connection, query)),
              times?.queried,
            ),
          streamQuery: (query, size) => connection.streamQuery(query, size),
        }
        guardedConnections.set(connection, wrapped)
        originals.set(wrapped, connection)
      }
      return wrapped
    },
    beginTransaction: (connection, options) => {
      inTransaction.add(original(connection))
      return guard(() => driver.beginTransaction(original(connection), options))
    },
    commitTransaction: (connection) => guard(() => driver.commitTransaction(original(connection))),
    rollbackTransaction: (connection) => guard(() => driver.rollbackTransaction(original(connection))),
    releaseConnection: (connection) => {
      inTransaction.delete(original(connection))
      return driver.releaseConnection(original(connection))
    },
    destroy: () => driver.destroy(),
  }
}

/** A process that was stopped may find an old answer when it wakes, and a session in it that has ended since. */
function executeNow<Row>(connection: DatabaseConnection, query: CompiledQuery): Promise<QueryResult<Row>> {
  const execute = () => connection.executeQuery<Row>(query)
  return query.query.kind === 'SelectQueryNode' ? askWithin(LONGEST_AGE, execute, systemClock) : execute()
}

/** A host of several addresses, none of which answers, gives an error for each, and none for all. */
function describe(error: Error): string {
  return error instanceof AggregateError ? error.errors.map(({ message }: Error) => message).join(', ') : error.message
}

/** SQLSTATEs. */
/** Of two that were in each other's way Postgres has undone this one, as if it had never been: it may run again. */
const RETRYABLE = ['40001', '40P01']
const ATTEMPTS = 4

async function retryUndone<Result>(act: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await act()
    } catch (error) {
      if (attempt === ATTEMPTS || !RETRYABLE.includes((error as { code?: string }).code ?? '')) throw error
      // Not in step with the other.
      await sleep(Math.random() * 10 * 2 ** attempt)
    }
  }
}

/** What a database of either kind has. */
export function withPing(db: Kysely<Tables>) {
  return {
    db,
    ping: async () => void (await sql`SELECT 1`.execute(db)),
    close: () => db.destroy(),
  }
}
