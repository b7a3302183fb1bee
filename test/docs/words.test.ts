import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { readPage } from '../pages.js'
import { BANNED, literalsOf, type Sentence, sentencesOf, textFiles, wordsOf } from '../support/prose.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))

/** The rule allows 25 words. The test allows five more, for names and numbers. */
const MOST_WORDS = 30

const describe = ({ file, line, text }: Sentence) => `${file}:${line}: ${text}`
const isLong = ({ text }: Sentence) => wordsOf(text).length > MOST_WORDS
const hasBannedWord = ({ text }: Sentence) => BANNED.some((pattern) => pattern.test(text))

const sentences = textFiles().flatMap((file) => sentencesOf(file))

test('no sentence on a page or in a comment has more than 30 words', async (t) => {
  t.ok(sentences.length > 5000, `${sentences.length} sentences`)
  t.strictSame(sentences.filter(isLong).map(describe), [])
})

test('no sentence on a page or in a comment has a banned connective', async (t) => {
  t.strictSame(sentences.filter(hasBannedWord).map(describe), [])
})

test('no title, error, log line or description has more than 30 words or a banned connective', async (t) => {
  const literals = textFiles()
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => literalsOf(file))
  t.ok(literals.length > 1000, `${literals.length} literals`)
  t.strictSame(literals.filter((text) => isLong(text) || hasBannedWord(text)).map(describe), [])
})

const words = (count: number) => Array.from({ length: count }, () => 'word').join(' ')

test('the check finds a long sentence, with its line, in each kind of file', async (t) => {
  const long = words(31)
  const found = (file: string, source: string) =>
    sentencesOf(file, source)
      .filter(isLong)
      .map(({ line }) => line)
  t.strictSame(found('a.md', `# Title\n\nShort. ${long}.\nShort.\n`), [3])
  t.strictSame(found('a.md', `Short.\n${words(20)}\n${words(11)}.`), [2], 'over two lines')
  t.strictSame(found('a.md', `| a | b |\n| --- | --- |\n| ${words(16)} | ${long} |`), [3], 'in a table')
  t.strictSame(found('a.ts', `const a = 1 // ${long}\n/** ${long} */\n/**\n * Short.\n * ${long}\n */`), [1, 2, 5])
  t.strictSame(found('a.ts', `// ${words(16)}\n// ${words(16)}`), [1], 'over two comments')
  t.strictSame(found('a.lua', `-- ${long}\nlocal a = 1`), [1])
  t.strictSame(found('a.yaml', `a: 1 # ${long}\n# ${long}`), [1, 2])
  t.strictSame(found('a.sh', `#!/bin/sh\n# ${long}`), [2])
})

test('the check reads a list item, a cell and a paragraph apart, and no code', async (t) => {
  const half = words(16)
  const fine = [
    ['a.md', `- ${half}\n- ${half}\n\n${half}\n\n${half}`],
    ['a.md', `| ${half} | ${half} |`],
    ['a.md', `\`\`\`sh\n${words(40)}\n\`\`\`\n\nText:\n\n    ${words(40)}\n`],
    ['a.md', `${half} \`${half}\` [a link](https://example.com/${'a/'.repeat(40)})`],
    ['a.ts', `const url = 'https://example.com // ${words(40)}'`],
    ['a.ts', `/**\n * ${half}\n *\n * - ${half}\n * - ${half}\n */`],
  ] as const
  for (const [file, source] of fine) t.strictSame(sentencesOf(file, source).filter(isLong), [], source.slice(0, 20))
})

test('the check finds a long title, and reads nothing else of the code', async (t) => {
  const source = `test('${words(31)}', () => {})\nconst a = 'one' + "two" + three\n`
  t.strictSame(
    literalsOf('a.ts', source).map(({ line }) => line),
    [1],
  )
})

test('the check finds a connective, and leaves other uses of the word', async (t) => {
  const banned = `The answer is 503, for it says nothing of the token.
    The first is kept, for a second request is a retry.
    The value is kept, for the service reads it later.
    Set the address, else every caller is one.
    Whoever holds the token may end it.
    Such an entry is no reason to stop.`.split('\n')
  const fine = `A session lives, for example, for a week.
    There is no feed, and nothing else is read.
    Time is measured for each call, for all stores.
    The page is written, for the readers of the project.
    The token is no longer valid.`.split('\n')
  for (const text of banned) t.ok(hasBannedWord({ file: '', line: 1, text }), text)
  for (const text of fine) t.notOk(hasBannedWord({ file: '', line: 1, text }), text)
})

const CASE_ID = /\b[JRLHFCWMSOP]\d{1,2}\b/g

/** The groups of docs/abuse-cases.md: the ids of each, and the paths that its line "Tests" names. */
const groups = readPage('docs/abuse-cases.md')
  .split(/^## /m)
  .slice(1)
  .map((section) => ({
    letter: section[0] ?? '',
    ids: [...section.matchAll(/^\| ([A-Z]\d+) \|/gm)].map(([, id = '']) => id),
    paths: [...(/^Tests: .*$/m.exec(section)?.[0].matchAll(/`([^`]+)`/g) ?? [])].map(([, path = '']) => path),
  }))

const testFiles = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ path: `test/${file}`, source: readFileSync(join(root, 'test', file), 'utf8') }))

test('docs/abuse-cases.md explains each case id that a test title carries, once', async (t) => {
  const explained = groups.flatMap(({ ids }) => ids)
  t.strictSame(explained, [...new Set(explained)])
  // A title is the text after `test(`. Tables of hostile tokens build titles from an id in quotes.
  const carried = testFiles.flatMap(({ path, source }) =>
    [...source.matchAll(/\btest\w*\(\s*(['"`])(.*?)\1|['"`]([JRLHFCWMSOP]\d{1,2})['"`: ]/gs)].flatMap(([text]) =>
      [...text.matchAll(CASE_ID)].map(([id]) => ({ path, id })),
    ),
  )
  t.ok(new Set(carried.map(({ id }) => id)).size > 100)
  const unknown = carried.filter(({ id }) => !explained.includes(id))
  t.strictSame(
    unknown.map(({ path, id }) => `${path}: ${id}`),
    [],
  )
})

test('docs/abuse-cases.md names paths that have tests of the group', async (t) => {
  for (const { letter, paths } of groups) {
    for (const path of paths) {
      t.ok(existsSync(join(root, path)), path)
      const isFolder = statSync(join(root, path)).isDirectory()
      const of = testFiles.filter((file) => (isFolder ? file.path.startsWith(`${path}/`) : file.path === path))
      t.ok(
        of.some(({ source }) => [...source.matchAll(CASE_ID)].some(([id]) => id.startsWith(letter))),
        `${path} has a test of group ${letter}`,
      )
    }
  }
})
