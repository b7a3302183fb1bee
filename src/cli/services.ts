import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Clients, createClients } from '../clients/clients.js'
import { createSignerKeys } from '../clients/signer-keys.js'
import { createTrustedIssuers, type TrustedIssuers } from '../clients/trusted-issuers.js'
import type { StoresConfig } from '../config/config.js'
import { readStoresConfig } from '../config/read.js'
import type { Database } from '../database/database.js'
import type { Factors } from '../factors/factor.js'
import { createLogger } from '../log.js'
import { SessionStoreRefused } from '../sessions/registration.js'
import type { SessionStore } from '../sessions/session.js'
import type { Stores } from '../stores.js'
import { Unavailable } from '../unavailable.js'
import { createPasswordHashing } from '../users/password-hashing.js'
import type { Users } from '../users/users.js'

export interface Services {
  config: StoresConfig
  users: Users
  /** Without DATA_SECRET: they list and remove, and enrol nothing. */
  factors: Factors
  database: Database
  clients: Clients
  issuers: TrustedIssuers
  sessions: SessionStore
}

/** Time limit of the first connection to Redis. Milliseconds. */
const CONNECT_TIMEOUT = 3000

/**
 * Opens the stores of the environment for one command.
 *
 * @param database `create`: the command may be the first that uses the database, so it makes a missing SQLite file
 */
export async function withServices<Result>(
  act: (services: Services) => Promise<Result>,
  database: 'create' | 'exists' = 'exists',
): Promise<Result> {
  const config = readStoresConfig(process.env)
  if (database === 'exists') requireDatabase(config.databaseUrl)
  // Loaded here and not above: the drivers take 0.5 s of CPU time, and --help and `keys` need none of them.
  const [{ openStores }, { createUsers }, { createFactors }] = await Promise.all([
    import('../stores.js'),
    import('../users/users.js'),
    import('../factors/factors.js'),
  ])
  // Standard output is for the answer. A failure becomes the one line of the error.
  const stores = await openStores(config, createLogger('silent'))
  try {
    await untilConnected(stores)
    const { database, sessions } = stores
    const hashing = createPasswordHashing({ concurrency: config.hashConcurrency, queue: config.hashQueue })
    const users = createUsers(database, hashing)
    const factors = createFactors(database, undefined)
    // A command fetches no keys.
    const keys = createSignerKeys({ plainHttp: !config.production, onFailure: () => {} })
    const issuers = createTrustedIssuers(database, keys.ofIssuer)
    return await act({ config, users, factors, clients: createClients(database), issuers, sessions, database })
  } finally {
    await stores.close()
  }
}

/** A mistyped path would otherwise make an empty database, and the command would find nothing in it. */
function requireDatabase(url: string): void {
  const path = url.slice('sqlite:'.length)
  if (!url.startsWith('sqlite:') || path === ':memory:' || existsSync(path)) return
  throw new Unavailable(
    'database',
    `cannot open the SQLite database ${path}: it does not exist (latchkey migrate makes it)`,
  )
}

/**
 * Waits for the first connection. A command never works on another store than the service: sessions that it reports as ended
 * would live on in the service's store.
 */
async function untilConnected({ sessions, redis }: Stores): Promise<void> {
  const deadline = Date.now() + CONNECT_TIMEOUT
  for (;;) {
    try {
      return await sessions.ping()
    } catch (error) {
      if (error instanceof SessionStoreRefused) throw error
      if (Date.now() > deadline) throw redis ? new Unavailable('redis', 'Redis does not answer', error) : error
      await sleep(20)
    }
  }
}
