import type { Config } from '../../src/config/config.js'
import type { Database } from '../../src/database/database.js'
import { createPasswordHashing } from '../../src/users/password-hashing.js'
import { createUsers, type Users } from '../../src/users/users.js'
import { openReadyDatabase } from './ready-database.js'
import type { Environment } from './service.js'

/** Changes accounts in the database of a running service, like an administrator's tool. */
export async function withAccounts<Result>(
  { DATABASE_URL, HASH_COST }: Environment,
  act: (users: Users, database: Database) => Promise<Result>,
): Promise<Result> {
  const database = await openReadyDatabase(DATABASE_URL as string)
  try {
    const hashing = createPasswordHashing({
      concurrency: 1,
      queue: 10,
      cost: (HASH_COST ?? 'full') as Config['hashCost'],
    })
    return await act(createUsers(database, hashing), database)
  } finally {
    await database.close()
  }
}

/** How many accounts the database has. */
export const countUsers = (env: Environment): Promise<number> =>
  withAccounts(env, async (_users, { db }) => {
    const { count } = await db
      .selectFrom('users')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow()
    return Number(count)
  })
