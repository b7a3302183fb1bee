import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import ts from 'typescript'
import { readPage } from './pages.js'

const source = fileURLToPath(new URL('../../src/', import.meta.url))
const page = readPage('docs/audit.md')

/** The members of a union type in src/audit.ts. */
function union(name: string): ts.TypeNode[] {
  const file = ts.createSourceFile('audit.ts', readFileSync(`${source}audit.ts`, 'utf8'), ts.ScriptTarget.Latest, true)
  const alias = file.statements.filter(ts.isTypeAliasDeclaration).find((each) => each.name.text === name)
  return alias && ts.isUnionTypeNode(alias.type) ? [...alias.type.types] : []
}

/** An event as the page writes it: its name, and its members, those that are not always there with a question mark. */
function eventsOfCode(): Record<string, string[]> {
  const events = union('AuditEvent')
    .filter(ts.isTypeLiteralNode)
    .map(({ members }) => {
      const properties = members.filter(ts.isPropertySignature)
      const event =
        properties
          .find((each) => each.name.getText() === 'event')
          ?.type?.getText()
          .replaceAll("'", '') ?? ''
      const others = properties.filter((each) => each.name.getText() !== 'event')
      return [event, others.map((each) => each.name.getText() + (each.questionToken ? '?' : ''))]
    })
  return Object.fromEntries(events)
}

/** The rows of the table below a heading, by their first cell. */
function rows(heading: string): Record<string, string[]> {
  const section = page.split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  const lines = [...section.matchAll(/^\| `([\w.]+)` \| (.*?) ?\|(?: |$)/gm)]
  return Object.fromEntries(
    lines.map(([, name, members = '']) => [name, [...members.matchAll(/`(\w+)`(\??)/g)].map(([, m, q]) => `${m}${q}`)]),
  )
}

test('docs/audit.md has each event of the code, with its members, and no other', async (t) => {
  const events = eventsOfCode()
  t.ok(Object.keys(events).length >= 14)
  t.strictSame(rows('Events'), events)
})

test('docs/audit.md has each reason for which sessions end, and no other', async (t) => {
  const reasons = union('SessionEnd').map((type) => type.getText().replaceAll("'", ''))
  t.ok(reasons.length >= 8)
  t.strictSame(Object.keys(rows('Why sessions end')), reasons)
})

test('each event is one that a route tells of, and every reason of a refusal is on the page', async (t) => {
  const routes = readdirSync(`${source}routes`).map((file) => readFileSync(`${source}routes/${file}`, 'utf8'))
  const code = routes.join('\n')
  for (const event of Object.keys(eventsOfCode())) t.ok(code.includes(`event: '${event}'`), event)
  const reasons = [...code.matchAll(/event: '[\w.]+', reason: '(\w+)'/g)].map(([, reason = '']) => reason)
  t.ok(reasons.length >= 3)
  for (const reason of reasons) t.ok(page.includes(`\`${reason}\``), reason)
})
