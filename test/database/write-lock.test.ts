import LibsqlDatabase from 'libsql'
import { test } from 'tap'
import { inTransaction } from '../../src/database/conflicts.js'
import { createSqlSessions } from '../../src/sessions/sql.js'
import { LIFETIMES, newSession, newUserId, openTestDatabase } from '../support/stores.js'

test('sqlite: F32: a write that waits in vain for the lock of another process leaves nothing that later writes stumble over', async (t) => {
  const { url, database } = await openTestDatabase(t, 'sqlite')
  const sessions = createSqlSessions(database, LIFETIMES)
  t.teardown(() => sessions.close())
  const other = new LibsqlDatabase(url.slice('sqlite:'.length))
  t.teardown(() => void other.close())
  const sub = newUserId()

  other.exec('BEGIN IMMEDIATE; CREATE TABLE first (id INTEGER)')
  const locked = { name: 'Unavailable', message: /database is locked \(another process writes .*: try again\)/ }
  await t.rejects(sessions.create(newSession(sub)), locked)
  await t.rejects(
    inTransaction(database.db, (db) => db.deleteFrom('sessions').where('sub', '=', sub).execute()),
    locked,
  )
  other.exec('COMMIT')

  await sessions.create(newSession(sub))
  other.exec('CREATE TABLE second (id INTEGER)')
  await sessions.create(newSession(sub))
  await inTransaction(database.db, async (db) => {
    await db.deleteFrom('users').where('id', '=', sub).execute()
    await db.deleteFrom('clients').where('id', '=', sub).execute()
  })
  t.equal((await sessions.list(sub)).length, 2)
  other.exec('CREATE TABLE third (id INTEGER)')
})

test('sqlite: a change or a transaction that fails holds no lock afterwards', async (t) => {
  const { url, database } = await openTestDatabase(t, 'sqlite')
  const other = new LibsqlDatabase(url.slice('sqlite:'.length))
  t.teardown(() => void other.close())
  const row = { id: 'x', name: null as unknown as string }
  const insert = (db: typeof database.db) =>
    db
      .insertInto('factors')
      .values(row as never)
      .execute()

  await t.rejects(insert(database.db), /NOT NULL/)
  other.exec('CREATE TABLE first (id INTEGER)')
  await t.rejects(inTransaction(database.db, insert), /NOT NULL/)
  other.exec('CREATE TABLE second (id INTEGER)')
  t.equal(await database.ping(), undefined)
})
