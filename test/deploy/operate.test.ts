import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'tap'
import { readPage } from '../pages.js'
import { Feed } from '../support/feed.js'
import { root } from '../support/kustomize.js'
import { scrape } from '../support/scrape.js'
import { PASSWORD, startService } from '../support/service.js'

const page = readPage('docs/operate.md')

test('docs/operate.md lists every metric with its labels, and no other', async (t) => {
  const { managementUrl } = await startService(t, 'redis')
  const seen = await scrape(managementUrl)
  const types = [...seen.text.matchAll(/^# TYPE (latchkey_\w+)/gm)].map(([, name = '']) => name)
  const rows = [...page.matchAll(/^\| (`latchkey_.*?) \| (.*?) \|/gm)].map(([, names = '', labels = '']) => {
    const listed = [...names.matchAll(/`(\w+)`/g)].map(([, name = '']) => name)
    const first = listed[0] ?? ''
    // After a name, `_errors_total` abbreviates the metric that counts its errors.
    const full = listed.map((name) =>
      name.startsWith('_') ? first.replace(/_(active|duration_seconds)$/, '') + name : name,
    )
    return { names: full, labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label) }
  })
  t.strictSame(rows.flatMap(({ names }) => names).sort(), types.sort())
  for (const { names, labels } of rows) {
    for (const name of names) {
      const sample = seen.samples.find((each) => each.name.replace(/_(bucket|sum|count)$/, '') === name)
      if (!sample) continue
      const own = Object.keys(sample.labels).filter((label) => label !== 'le')
      t.strictSame(own.sort(), [...labels].sort(), name)
    }
  }
})

test('every command and file that docs/operate.md names exists', async (t) => {
  const commands = new Set(
    [...page.matchAll(/\blatchkey ((?:keys|clients|sessions|users) \w+|migrate)\b/g)].map(([, c]) => c),
  )
  t.ok(commands.size >= 8)
  for (const command of commands) {
    const [group = '', name] = `${command}`.split(' ')
    const source = readFileSync(join(root, `src/cli/${group}.ts`), 'utf8')
    t.match(source, new RegExp(`(const ${name} =|export const migrate)`), `${command}`)
  }
  for (const [, setting = ''] of page.matchAll(/^\| `([A-Z_]+)` \|/gm)) {
    t.ok(readPage('docs/configuration.md').includes(`\`${setting}\``), setting)
  }
})

test('with SQLite, everybody is signed out by the command of docs/operate.md, and followers are told', async (t) => {
  const { api, env } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const [one, two] = [await api.tokens('ada', PASSWORD), await api.tokens('ada', PASSWORD)]
  const feed = await new Feed(api).readAll()
  const [, command = ''] = /^ {4}\$ (sqlite3 data\/latchkey\.db .*sessions ended'")$/m.exec(page) ?? []
  const file = `${env.DATABASE_URL}`.slice('sqlite:'.length)

  // Debian's sqlite3 is older than the SQLite of the service.
  const printed = execFileSync('sh', ['-c', command.replace('data/latchkey.db', file)], {
    encoding: 'utf8',
    cwd: dirname(file),
  })

  t.equal(printed, '5000\n2 sessions ended\n')
  await feed.readAll()
  t.strictSame([...feed.sids].sort(), [one.sid, two.sid].sort())
  for (const { access_token: token } of [one, two]) t.equal(await api.isActive(token), false)
})
