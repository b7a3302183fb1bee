import type { Database, DatabaseObserver, FollowedUrl } from './database.js'

/**
 * Opens `sqlite:PATH` or `postgres://…` and brings its tables up to date. Several processes may do this at once.
 *
 * Each new connection to Postgres reads `address` again, because its password may have changed.
 *
 * Every error of the database becomes {@link Unavailable}, because no query of this service can fail on its input.
 */
export async function openDatabase(
  url: string,
  onError: (error: Error) => void,
  observer?: DatabaseObserver,
  address: FollowedUrl = { current: () => url },
): Promise<Database> {
  // Each driver takes 5% of the start, so only the driver in use is loaded.
  const database = url.startsWith('sqlite:')
    ? (await import('./sqlite.js')).openSqlite(url.slice('sqlite:'.length), observer)
    : (await import('./postgres.js')).openPostgres(address, onError, observer)
  try {
    await database.migrate()
  } catch (error) {
    await database.close().catch(() => {})
    throw error
  }
  return database
}
