import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import ts from 'typescript'
import { SESSION_ENDS } from '../../src/audit.js'
import { readPage } from '../pages.js'

const source = fileURLToPath(new URL('../../../src/', import.meta.url))
const page = readPage('docs/audit.md')

const file = ts.createSourceFile('audit.ts', readFileSync(`${source}audit.ts`, 'utf8'), ts.ScriptTarget.Latest, true)

/** The members of the type of an event: `{ … }`, `({ … } & Actor)`. */
function membersOf(type: ts.TypeNode): ts.PropertySignature[] {
  if (ts.isParenthesizedTypeNode(type)) return membersOf(type.type)
  if (ts.isIntersectionTypeNode(type)) return type.types.flatMap(membersOf)
  if (ts.isTypeLiteralNode(type)) return type.members.filter(ts.isPropertySignature)
  const named = file.statements.filter(ts.isInterfaceDeclaration).find((each) => each.name.text === type.getText())
  return named ? named.members.filter(ts.isPropertySignature) : []
}

/** An event as the page writes it: its name and its members. A question mark follows an optional member. */
function eventsOfCode(): Record<string, string[]> {
  const alias = file.statements.filter(ts.isTypeAliasDeclaration).find((each) => each.name.text === 'AuditEvent')
  const types = alias && ts.isUnionTypeNode(alias.type) ? alias.type.types : []
  const events = types.map(membersOf).flatMap((members) => {
    const others = members.filter((each) => each.name.getText() !== 'event')
    const names =
      members
        .find((each) => each.name.getText() === 'event')
        ?.type?.getText()
        .match(/[\w.]+/g) ?? []
    return names.map((name) => [name, others.map((each) => each.name.getText() + (each.questionToken ? '?' : ''))])
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

test('docs/audit.md lists each event of the code with its members, and no other', async (t) => {
  const events = eventsOfCode()
  t.ok(Object.keys(events).length >= 14)
  const sorted = (all: object) => Object.fromEntries(Object.entries(all).sort())
  t.strictSame(sorted(rows('Events')), sorted(events))
})

test('docs/audit.md lists each reason for the end of sessions, and no other', async (t) => {
  t.strictSame(Object.keys(rows('Why sessions end')), [...SESSION_ENDS])
})

test('a route or a command writes each event, and the page lists every reason for a refusal', async (t) => {
  const code = ['routes', 'grants', 'cli']
    .flatMap((room) =>
      readdirSync(source + room, { recursive: true, encoding: 'utf8' }).map((name) => `${room}/${name}`),
    )
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(source + name, 'utf8'))
    .join('\n')
  for (const event of Object.keys(eventsOfCode())) t.ok(code.includes(`'${event}'`), event)
  const reasons = [...code.matchAll(/event: '[\w.]+', reason: '(\w+)'/g)].map(([, reason = '']) => reason)
  t.ok(reasons.length >= 3)
  for (const reason of reasons) t.ok(page.includes(`\`${reason}\``), reason)
})
