import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import { test } from 'tap'
import { unpackDevice } from '../../src/sessions/redis/device.js'
import type { Tokens } from '../support/api.js'
import { CLIENT, JWT_SECRET, PASSWORD, REFRESH_SECRET, startService, stores } from '../support/service.js'

for (const store of stores) {
  test(`${store}: C6: a thief of the store finds no token, no part of one, and no hash of one`, async (t) => {
    const { api, env } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const issued: string[] = []
    const keep = (answer: Tokens): Tokens => {
      issued.push(answer.access_token, answer.refresh_token)
      return answer
    }
    const phone = keep(await api.tokens('ada', PASSWORD, { device_name: 'canary-device' }))
    const next = keep((await api.refresh(phone.refresh_token)).body)
    keep((await api.refresh(phone.refresh_token)).body)
    keep((await api.refresh(next.refresh_token)).body)
    const laptop = keep(await api.tokens('ada', PASSWORD))
    await api.introspect(laptop.access_token)
    await api.logout(laptop.access_token)

    const dump = Buffer.concat(await dumpOf(env))

    // The dump contains what it may contain: the session id.
    for (const known of ['ada', 'canary-device', phone.sid]) t.ok(dump.includes(known), known)
    t.equal(issued.length, 10)
    for (const token of issued) {
      t.strictSame(
        piecesOf(token).filter((piece) => dump.includes(piece)),
        [],
      )
      t.strictSame(
        hashesOf(token).filter((hash) => dump.includes(hash)),
        [],
      )
    }
    for (const secret of [PASSWORD, JWT_SECRET, REFRESH_SECRET, CLIENT.secret]) t.notOk(dump.includes(secret))
    for (const hash of hashesOf(PASSWORD)) t.notOk(dump.includes(hash))
  })
}

/** Every run of 20 characters, and the bytes of the last part: the signature, or a whole refresh token. */
function piecesOf(token: string): (string | Buffer)[] {
  const runs = Array.from({ length: token.length - 19 }, (_, i) => token.slice(i, i + 20))
  const secret = token.startsWith('lkr_') ? token.slice(4) : token.slice(token.lastIndexOf('.') + 1)
  const bytes = Buffer.from(secret, 'base64url')
  return [...runs, bytes.subarray(-32), bytes.subarray(-16), bytes.subarray(-32).toString('hex')]
}

function hashesOf(token: string): (string | Buffer)[] {
  const secret = token.replace(/^lkr_/, '')
  return ['sha256', 'sha1', 'md5', 'sha512'].flatMap((algorithm) =>
    [token, secret].flatMap((text) => {
      const hash = createHash(algorithm).update(text).digest()
      return [hash, hash.toString('hex'), hash.toString('base64').slice(0, 21), hash.toString('base64url').slice(0, 21)]
    }),
  )
}

/** All content of the database and of Redis. */
async function dumpOf(env: Record<string, string>): Promise<Buffer[]> {
  const database = env.DATABASE_URL as string
  const inDatabase = database.startsWith('sqlite:')
    ? dumpFolder(dirname(database.slice(7)))
    : await dumpTables(database)
  return env.REDIS_URL ? [...inDatabase, ...(await dumpKeys(env.REDIS_URL))] : inDatabase
}

function dumpFolder(folder: string): Buffer[] {
  return readdirSync(folder)
    .filter((file) => file.startsWith('latchkey.db'))
    .map((file) => readFileSync(`${folder}/${file}`))
}

async function dumpTables(url: string): Promise<Buffer[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query(`SELECT tablename FROM pg_tables WHERE schemaname = 'public'`)
    const tables = await Promise.all(rows.map(({ tablename }) => client.query(`SELECT * FROM "${tablename}"`)))
    return tables.map((table) => Buffer.from(JSON.stringify(table.rows)))
  } finally {
    await client.end()
  }
}

async function dumpKeys(url: string): Promise<Buffer[]> {
  const client = new Redis(url)
  try {
    const keys = await client.keys('*')
    const values = await Promise.all(
      keys.map(async (key) => {
        switch (await client.type(key)) {
          case 'hash': {
            const { d: device } = await client.hgetallBuffer(key)
            return [await client.hgetall(key), device && unpackDevice(device)]
          }
          case 'zset':
            return client.zrange(key, '0', '-1', 'WITHSCORES')
          case 'stream':
            return client.xrange(key, '-', '+')
          default:
            return client.get(key)
        }
      }),
    )
    return [Buffer.from(JSON.stringify([keys, values]))]
  } finally {
    client.disconnect()
  }
}
