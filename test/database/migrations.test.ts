import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Test, test } from 'tap'
import { createPostgresDatabase } from '../servers/postgres.js'
import { temporaryFolder } from '../service.js'
import { isAll } from '../size.js'

const PROCESSES = 6
const ROUNDS = isAll ? 3 : 1

const newDatabase = {
  sqlite: async (t: Test) => `sqlite:${join(temporaryFolder(t), 'folder', 'latchkey.db')}`,
  postgres: async (t: Test) => {
    const { url, drop } = await createPostgresDatabase()
    t.teardown(drop)
    return url
  },
}

for (const [kind, create] of Object.entries(newDatabase)) {
  test(`${kind}: ${PROCESSES} processes that start at once on a new database all succeed, and again on it`, async (t) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const url = await create(t)

      t.strictSame(await openAtOnce(t, url), Array(PROCESSES).fill('opened 0'))
      t.strictSame(await openAtOnce(t, url), Array(PROCESSES).fill('opened 0'))
    }
  })
}

/** What each of several processes says that open the database in the same moment. */
async function openAtOnce(t: Test, url: string): Promise<string[]> {
  const opener = fileURLToPath(new URL('./opener.js', import.meta.url))
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
