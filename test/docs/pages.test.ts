import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { readConfig } from '../../src/config/read.js'
import { secretSettings, settings } from '../../src/config/settings.js'
import { pages, readPage } from '../pages.js'
import { JWT_SECRET, REFRESH_SECRET } from '../support/service.js'

const SECRETS = { JWT_SECRET, REFRESH_SECRET, BOOTSTRAP_CLIENT: 'todo:a-client-secret-of-more-than-32-bytes' }
const root = fileURLToPath(new URL('../../../', import.meta.url))

test('the generated pages are up to date', async (t) => {
  for (const [path, render] of Object.entries(pages))
    t.equal(readPage(path), await render(), `${path}: run  npm run docs`)
})

test('docs/gateways.md shows every example of a gateway', async (t) => {
  const shown = [...readPage('docs/gateways.md').matchAll(/<!-- example: (\S+) -->/g)].map(([, file]) => file)
  t.strictSame(shown.sort(), readdirSync(join(root, 'examples/gateways')).sort())
})

test('.env.example lists every setting in order; with its comment signs removed it changes nothing', async (t) => {
  const lines = [...readPage('.env.example').matchAll(/^#([A-Z_]+)=(.*)$/gm)]
  t.strictSame(
    lines.map(([, name]) => name),
    Object.keys(settings),
  )
  const uncommented = Object.fromEntries(lines.map(([, name = '', value = '']) => [name, value]))
  t.strictSame(readConfig({ ...uncommented, ...SECRETS }), readConfig(SECRETS))
})

test('the table of settings marks the settings that a file may hold', async (t) => {
  const marked = [...readPage('docs/configuration.md').matchAll(/^\| `([A-Z_]+)` \* \|/gm)].map(([, name]) => name)
  t.strictSame(marked.sort(), [...secretSettings].sort())
})

test('every link between the pages has a target', async (t) => {
  const markdown = ['.', 'docs', 'docs/decisions'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((file) => file.endsWith('.md'))
      .map((file) => join(folder, file)),
  )
  t.ok(markdown.length >= 8)
  for (const page of markdown) {
    for (const [, target = ''] of readPage(page).matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      t.ok(existsSync(join(root, dirname(page), target)), `${page} links to ${target}`)
    }
  }
})

test('each decision has its number, a title that says what was decided, a status with a date, and settings of its figures', async (t) => {
  const files = readdirSync(join(root, 'docs/decisions')).sort()
  t.ok(files.length >= 12)
  for (const [index, file] of files.entries()) {
    const page = readPage(`docs/decisions/${file}`)
    const [, number, title = ''] = /^# (\d+)\. (.+)$/m.exec(page) ?? []
    t.equal(Number(number), index + 1, `${file}: the number of its title`)
    t.equal(Number(file.slice(0, 4)), index + 1, `${file}: the number of its name`)
    t.ok(title.split(' ').length >= 5, `${file}: write what was decided, not the topic`)
    t.match(page, /^\*\*(Accepted|Rejected|Superseded)\*\*, \d{4}-\d\d-\d\d\. /m, `${file}: status, date and reason`)
    // A figure without its machine and versions cannot be measured again.
    const hasFigures = /\d (ms|µs|MB|KB|GB)\b/.test(page)
    if (hasFigures) t.match(page, /^\*\*Measured\*\*/m, `${file}: begin figures with **Measured**`)
    for (const [paragraph] of page.matchAll(/^\*\*Measured\*\*[\s\S]*?\n\n/gm))
      t.match(paragraph, /\b(cores?|Node \d+|Redis \d|node dist)\b/, `${file}: the setting of the figures`)
  }
})
