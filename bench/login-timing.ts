import { randomInt, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase } from '../src/database/open.js'
import { createPasswordHashing } from '../src/users/password-hashing.js'
import { createUsers } from '../src/users/users.js'
import { startServer } from './server.js'

/**
 * Measures whether the time of a refused sign-in reveals that an account exists. The bench tries unknown names, wrong
 * passwords, disabled accounts and accounts with a second factor in random order, one at a time. For each pair of kinds it prints the AUC: how often the
 * first kind takes longer than the second. 0.5 reveals nothing, and the target is 0.45 to 0.55.
 */
const EACH = Number(process.env.BENCH_EACH ?? 500)
const PASSWORD = 'correct horse battery staple'
const folder = mkdtempSync(join(tmpdir(), 'latchkey-bench-'))
const databaseUrl = `sqlite:${join(folder, 'bench.db')}`
const url = 'http://127.0.0.1:7310'

type Kind = 'unknown' | 'wrong' | 'disabled' | 'factor'
interface Attempt {
  kind: Kind
  username: string
  password: string
}

try {
  await makeAccounts()
  const service = await startServer(
    '../src/server.js',
    {
      NODE_ENV: 'test',
      PORT: '7310',
      MANAGEMENT_PORT: '7311',
      DATABASE_URL: databaseUrl,
      LOG_LEVEL: 'error',
      // Each attempt comes from its own address. Otherwise the throttle would end the measurement.
      TRUST_PROXY: '127.0.0.1',
    },
    url,
    'http://127.0.0.1:7311/readyz',
  )
  try {
    const attempts = Array.from({ length: EACH }, (_, i): Attempt[] => [
      { kind: 'unknown', username: `nobody${i}`, password: PASSWORD },
      { kind: 'wrong', username: `active${i}`, password: `not ${PASSWORD}` },
      { kind: 'disabled', username: `disabled${i}`, password: PASSWORD },
      { kind: 'factor', username: `factor${i}`, password: `not ${PASSWORD}` },
    ]).flat()
    for (const attempt of attempts.slice(0, 60)) await timeOf({ ...attempt, username: `warm-${attempt.username}` })
    const times: Record<Kind, number[]> = { unknown: [], wrong: [], disabled: [], factor: [] }
    for (const attempt of shuffle(attempts)) times[attempt.kind].push(await timeOf(attempt))

    for (const [kind, own] of Object.entries(times)) {
      process.stdout.write(
        `${kind.padEnd(10)} median ${quantile(own, 0.5)} ms, p10 ${quantile(own, 0.1)}, p90 ${quantile(own, 0.9)}\n`,
      )
    }
    for (const [one, other] of [
      ['unknown', 'wrong'],
      ['unknown', 'disabled'],
      ['wrong', 'disabled'],
      ['wrong', 'factor'],
      ['unknown', 'factor'],
    ] as const) {
      process.stdout.write(`AUC ${one} / ${other}: ${auc(times[one], times[other]).toFixed(3)} over ${EACH} each\n`)
    }
  } finally {
    await service.stop()
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** Accounts with a hash of the current parameters. All share one hash, because only its check takes time. */
async function makeAccounts(): Promise<void> {
  const hashing = createPasswordHashing({ concurrency: 1, queue: 10 })
  const database = await openDatabase(databaseUrl, () => {})
  const first = await createUsers(database, hashing).create({ username: 'template', password: PASSWORD })
  if (typeof first === 'string') throw new Error('the database is not new')
  const template = await database.db
    .selectFrom('users')
    .selectAll()
    .where('id', '=', first.id)
    .executeTakeFirstOrThrow()
  for (let i = 0; i < EACH; i += 1) {
    for (const kind of ['active', 'disabled', 'factor']) {
      await database.db
        .insertInto('users')
        .values({
          ...template,
          id: randomUUID(),
          username: `${kind}${i}`,
          username_key: `${kind}${i}`,
          username_skeleton: `${kind}${i}`,
          disabled_at: kind === 'disabled' ? template.created_at : null,
          factors: kind === 'factor' ? 2 : 0,
        })
        .execute()
    }
  }
  await database.close()
}

/** Returns the milliseconds of a refused sign-in. */
function timeOf({ username, password }: Attempt): Promise<number> {
  const address = Array.from({ length: 3 }, () => randomInt(256)).join('.')
  return new Promise((resolve, reject) => {
    const start = process.hrtime.bigint()
    const headers = { 'content-type': 'application/json', 'x-forwarded-for': `10.${address}` }
    request(`${url}/login`, { method: 'POST', headers }, (answer) => {
      answer.resume()
      answer.on('end', () => {
        if (answer.statusCode !== 401) reject(new Error(`the sign-in answered ${answer.statusCode}`))
        resolve(Number(process.hrtime.bigint() - start) / 1e6)
      })
    })
      .on('error', reject)
      .end(JSON.stringify({ username, password }))
  })
}

function auc(ones: number[], others: number[]): number {
  let wins = 0
  for (const one of ones) for (const other of others) wins += one > other ? 1 : one === other ? 0.5 : 0
  return wins / (ones.length * others.length)
}

function quantile(values: number[], q: number): string {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[Math.floor(q * (sorted.length - 1))] as number).toFixed(2)
}

function shuffle<Item>(items: Item[]): Item[] {
  const shuffled = [...items]
  for (let i = shuffled.length - 1; i > 0; i -= 1) {
    const j = randomInt(i + 1)
    ;[shuffled[i], shuffled[j]] = [shuffled[j] as Item, shuffled[i] as Item]
  }
  return shuffled
}
