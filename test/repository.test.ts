import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import ts from 'typescript'
import { parse } from 'yaml'
import { temporaryFolder } from './support/service.js'
import { runSuite } from './support/suite.js'
import { Summary } from './support/summary.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const { scripts, version } = JSON.parse(read('package.json'))

test('every npm script and file that CI uses exists', async (t) => {
  const { jobs } = parse(read('.github/workflows/ci.yml'))
  const commands = Object.values(jobs as Record<string, { steps: { run?: string }[] }>)
    .flatMap(({ steps }) => steps.flatMap(({ run }) => run ?? []))
    .join('\n')
  t.match(commands, '.ci/run')
  t.match(commands, 'npm audit')
  for (const [, script = ''] of commands.matchAll(/npm run ([\w:]+)/g)) t.ok(scripts[script], `npm run ${script}`)
  for (const [, file = ''] of commands.matchAll(/^(\.\S+)/gm)) t.ok(existsSync(join(root, file)), file)
})

test('CI runs on the oldest Node that package.json allows, and on newer versions', async (t) => {
  const { engines } = JSON.parse(read('package.json'))
  const { jobs } = parse(read('.github/workflows/ci.yml'))
  const { node }: { node: string[] } = jobs.test.strategy.matrix
  t.equal(node[0], /\d+/.exec(engines.node)?.[0])
  t.ok(node.length >= 3)
})

test('each file of .github is YAML, and Dependabot updates every kind of dependency', async (t) => {
  const files = readdirSync(join(root, '.github'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    /\.ya?ml$/.test(file),
  )
  t.ok(files.length >= 4)
  for (const file of files) t.ok(parse(read(`.github/${file}`)), file)
  const { updates } = parse(read('.github/dependabot.yml'))
  const kinds = updates.map((update: Record<string, string>) => update['package-ecosystem']).sort()
  t.strictSame(kinds, ['docker', 'github-actions', 'npm'])
})

test('the changelog has a section for the next release and for the current version, unless nothing is released', async (t) => {
  const headings = [...read('CHANGELOG.md').matchAll(/^## \[(.*?)\]/gm)].map(([, heading]) => heading)
  t.equal(headings[0], 'Unreleased')
  t.ok(headings.length === 1 || headings[1] === version)
})

// `t.match` compares only as many entries as the pattern's list has. So an empty list matches every list.
test('no test expects an empty list with t.match: t.strictSame compares it', async (t) => {
  const hasEmptyList = (node: ts.Node): boolean => {
    if (ts.isCallExpression(node) || ts.isFunctionLike(node)) return false
    if (ts.isArrayLiteralExpression(node) && node.elements.length === 0) return true
    return ts.forEachChild(node, hasEmptyList) ?? false
  }
  const isMatchOfEmptyList = (node: ts.Node) =>
    ts.isCallExpression(node) &&
    ts.isPropertyAccessExpression(node.expression) &&
    node.expression.name.text === 'match' &&
    // The second argument of `t.match` is the pattern. The `match` of a string has one argument.
    node.arguments[1] !== undefined &&
    hasEmptyList(node.arguments[1])
  const found: string[] = []
  for (const name of readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue
    const text = read(`test/${name}`)
    if (!text.includes('[]') || !text.includes('.match(')) continue
    const file = ts.createSourceFile(name, text, ts.ScriptTarget.Latest)
    const visit = (node: ts.Node): void => {
      if (isMatchOfEmptyList(node)) {
        found.push(`${name}:${file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1}`)
      }
      ts.forEachChild(node, visit)
    }
    visit(file)
  }
  t.strictSame(found, [])
})

test('a test run ends with each failed assertion: its file, the titles of its tests and its diagnostic', async (t) => {
  const tap = (count: number, length: number) => `
# Subtest: outer
    # Subtest: inner
        ok 1 - passes
${Array.from(
  { length: count },
  (_, index) => `        not ok ${index + 2} - fails
          ---
          diff: ${'x'.repeat(length)}
          ...
`,
).join('')}
        1..${count + 1}
    ${count > 0 ? 'not ' : ''}ok 1 - inner
    1..1
${count > 0 ? 'not ' : ''}ok 1 - outer
1..1`
  const read = async (text: string) => {
    const summary = new Summary()
    const reader = summary.reader(['dist/test/some.test.js'])
    for (const line of `# dist/test/some.test.js\n${text}`.split('\n')) reader.write(line)
    await reader.end()
    return summary.text()
  }
  const failure = 'FAILED dist/test/some.test.js > outer > inner > fails\ndiff: xxxxxxxxxx\n\n'
  t.equal(await read(tap(2, 10)), `${failure}${failure}1 passed, 2 failed\n`)
  t.equal(await read(tap(0, 0)), '1 passed, 0 failed\n')

  const many = await read(tap(100, 5000))
  t.ok(many.length < 31_000, 'the list is short enough for the last page of a log')
  t.match(many, /and \d+ more failures.*\n\n1 passed, 100 failed\n$/)

  const reader = new Summary().reader(['first.test.js', 'second.test.js'])
  for (const line of '# first.test.js\nok 1 - passes\n# second.test.js\n1..1'.split('\n')) reader.write(line)
  t.strictSame(
    await reader.end(),
    { isOk: false, untested: ['second.test.js'] },
    'a file without a result fails the run',
  )
})

test('a test process that crashes is in the summary with its cause', async (t) => {
  const file = join(temporaryFolder(t), 'some.test.js')
  writeFileSync(file, `setImmediate(() => { throw new Error('a socket was reset') })`)
  const summary = new Summary()
  const one = { jobs: 1, jobsBesideLimits: 1, hasTimeLimits: () => false, timeout: 60 }
  const { signal } = new AbortController()
  const quiet = { print() {}, printError() {} }
  await runSuite([[file]], { ...one, ...quiet, summary, signal, envOf: () => process.env })
  t.match(summary.text(), /The process ended with 1:\n.*Error: a socket was reset.*\n0 passed, \d failed\n$/s)
})
