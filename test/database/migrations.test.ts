import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Test, test } from 'tap'
import { sql } from '../../src/database/kysely.js'
import { withAccounts } from '../support/accounts.js'
import { openReadyDatabase } from '../support/ready-database.js'
import { createPostgresDatabase } from '../support/servers/postgres.js'
import { PASSWORD, temporaryFolder } from '../support/service.js'
import { isAll } from '../support/size.js'

const PROCESSES = isAll ? 6 : 3
const ROUNDS = isAll ? 2 : 1

const newDatabase = {
  sqlite: async (t: Test) => `sqlite:${join(temporaryFolder(t), 'folder', 'latchkey.db')}`,
  postgres: async (t: Test) => {
    const { url, drop } = await createPostgresDatabase()
    t.teardown(drop)
    return url
  },
}

for (const [kind, create] of Object.entries(newDatabase)) {
  test(`${kind}: ${PROCESSES} processes that start at once on a new database succeed, and succeed again on the same database`, async (t) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const url = await create(t)

      t.strictSame(await openAtOnce(t, url), Array(PROCESSES).fill('opened 0'))
      t.strictSame(await openAtOnce(t, url), Array(PROCESSES).fill('opened 0'))
    }
  })
}

for (const [kind, create] of Object.entries(newDatabase)) {
  test(`${kind}: older accounts with names that look alike stay, and a new name cannot look like an existing ASCII name`, async (t) => {
    const url = await create(t)
    const before = await openReadyDatabase(url)
    await sql`ALTER TABLE clients DROP COLUMN exchange_audiences`.execute(before.db)
    await sql`DROP INDEX users_by_skeleton`.execute(before.db)
    await sql`ALTER TABLE users DROP COLUMN username_skeleton`.execute(before.db)
    await sql`ALTER TABLE users DROP COLUMN claims`.execute(before.db)
    await sql`DROP TABLE session_store`.execute(before.db)
    await sql`DROP TABLE trusted_issuers`.execute(before.db)
    await sql`DROP TABLE single_uses`.execute(before.db)
    await sql`DROP INDEX clients_by_subject`.execute(before.db)
    for (const column of ['jwks', 'jwks_uri', 'issuer', 'subject']) {
      await sql`ALTER TABLE clients DROP COLUMN ${sql.ref(column)}`.execute(before.db)
    }
    for (const table of ['factors', 'recovery_codes', 'used_tickets'])
      await sql`DROP TABLE ${sql.table(table)}`.execute(before.db)
    for (const column of ['authenticated_at', 'amr']) {
      await sql`ALTER TABLE sessions DROP COLUMN ${sql.ref(column)}`.execute(before.db)
    }
    for (const column of ['factors', 'factors_version', 'mfa_required']) {
      await sql`ALTER TABLE users DROP COLUMN ${sql.ref(column)}`.execute(before.db)
    }
    for (const undo of undoRevocationFeed[kind as keyof typeof newDatabase]) await sql.raw(undo).execute(before.db)
    await sql`DELETE FROM kysely_migration WHERE name >= '0003'`.execute(before.db)
    const names = ['aegir', 'علي', 'علی']
    for (const name of names) {
      await sql`INSERT INTO users (id, username, username_key, password_hash, password_version, roles, created_at)
        VALUES (${name}, ${name}, ${name}, '', 1, '[]', 0)`.execute(before.db)
    }
    await before.close()

    await withAccounts({ DATABASE_URL: url }, async (users) => {
      for (const name of names) t.equal((await users.findByName(name))?.id, name)
      t.equal(await users.create({ username: 'ægir', password: PASSWORD }), 'taken')
      t.not(await users.create({ username: 'bob', password: PASSWORD }), 'taken')
    })
  })
}

/** What undoes migration 5. */
const tablesOfFeed = ['revocation_feed', 'revocations', 'revocation_retention'].map((table) => `DROP TABLE ${table}`)
const undoRevocationFeed = {
  sqlite: [
    ...['revoked_session', 'revoked_client', 'revoked_client_again'].map((trigger) => `DROP TRIGGER ${trigger}`),
    ...tablesOfFeed,
  ],
  postgres: [
    'DROP FUNCTION latchkey_revoked_sessions CASCADE',
    'DROP FUNCTION latchkey_revoked_client CASCADE',
    ...tablesOfFeed,
  ],
}

/** The output of each of several processes that open the database at the same moment. */
async function openAtOnce(t: Test, url: string): Promise<string[]> {
  const opener = fileURLToPath(new URL('../support/database-opener.js', import.meta.url))
  const children = Array.from({ length: PROCESSES }, () =>
    spawn(process.execPath, [opener, url], { stdio: ['pipe', 'pipe', 'inherit'] }),
  )
  t.teardown(() => children.forEach(kill))
  const lines = children.map((child) => child.stdout[Symbol.asyncIterator]())
  for (const line of lines) await line.next()
  return Promise.all(
    children.map(async (child, i) => {
      const exited = once(child, 'exit')
      child.stdin.write('open\n')
      const said = String((await lines[i]?.next())?.value).trim()
      await exited
      return said
    }),
  )
}

function kill(child: ChildProcess): void {
  child.kill('SIGKILL')
}
