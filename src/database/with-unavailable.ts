import { askWithin, systemClock } from '@latchkey/verifier/clock'
import { Unavailable } from '../unavailable.js'
import { retryConflicts } from './conflicts.js'
import type { DatabaseObserver } from './database.js'
import { hintFor } from './hints.js'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Kysely,
  type QueryResult,
  sql,
} from './kysely.js'
import type { Tables } from './schema.js'

/** An older answer is stale and is read again. Postgres has 550 ms for a statement. Milliseconds. */
const MAX_ANSWER_AGE = 1000

/** Wraps a dialect so that every failure of a query or a connection becomes {@link Unavailable}. */
export function withUnavailable(dialect: Dialect, observer?: DatabaseObserver): Dialect {
  return {
    createAdapter: () => dialect.createAdapter(),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createDriver: () => wrapDriver(dialect.createDriver(), observer),
  }
}

function wrapDriver(driver: Driver, observer: DatabaseObserver | undefined): Driver {
  const guard = async <Result>(act: () => Promise<Result>): Promise<Result> => {
    try {
      return await act()
    } catch (error) {
      observer?.onFailure()
      throw new Unavailable(
        'database',
        `the database failed: ${describe(error as Error)}${hintFor(error as Error)}`,
        error,
      )
    }
  }
  const timed = async <Result>(act: () => Promise<Result>, report: ((milliseconds: number) => void) | undefined) => {
    const begin = performance.now()
    const result = await guard(act)
    report?.(performance.now() - begin)
    return result
  }
  const wrappedConnections = new WeakMap<DatabaseConnection, DatabaseConnection>()
  const inTransaction = new WeakSet<DatabaseConnection>()
  const originals = new WeakMap<DatabaseConnection, DatabaseConnection>()
  const original = (connection: DatabaseConnection) => originals.get(connection) ?? connection
  return {
    init: () => guard(() => driver.init()),
    async acquireConnection() {
      const connection = await timed(() => driver.acquireConnection(), observer?.onConnection)
      let wrapped = wrappedConnections.get(connection)
      if (!wrapped) {
        wrapped = {
          // A conflict ends the whole transaction. So not this statement runs again, but the transaction (`conflicts.ts`).
          executeQuery: <Row>(query: CompiledQuery) =>
            timed(
              () =>
                inTransaction.has(connection)
                  ? connection.executeQuery<Row>(query)
                  : retryConflicts(() => executeNow<Row>(connection, query)),
              observer?.onQuery,
            ),
          streamQuery: (query, size) => connection.streamQuery(query, size),
        }
        wrappedConnections.set(connection, wrapped)
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

/** A suspended process may find a stale answer when it resumes, with a session that has ended since. */
function executeNow<Row>(connection: DatabaseConnection, query: CompiledQuery): Promise<QueryResult<Row>> {
  const execute = () => connection.executeQuery<Row>(query)
  return query.query.kind === 'SelectQueryNode' ? askWithin(MAX_ANSWER_AGE, execute, systemClock) : execute()
}

/** When no address of a host answers, Node throws an AggregateError with an empty message and one error per address. */
function describe(error: Error): string {
  return error instanceof AggregateError ? error.errors.map(({ message }: Error) => message).join(', ') : error.message
}

/** The members that both kinds of database share. */
export function withPing(db: Kysely<Tables>) {
  return {
    db,
    ping: async () => void (await sql`SELECT 1`.execute(db)),
    close: () => db.destroy(),
  }
}
