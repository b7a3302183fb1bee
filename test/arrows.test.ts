import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import ts from 'typescript'

const root = fileURLToPath(new URL('../../', import.meta.url))
const SOURCES = ['src', 'schemas', 'verifier/src']
const FORBIDDEN_FOLDERS = ['helpers', 'utils', 'common', 'shared', 'types', 'services', 'lib']
const NOT_OURS = ['node_modules', 'dist', 'data', '.git', '.tap']

interface Import {
  /** The path of the file, relative to the root. */
  from: string
  /** A file of this repository, relative to the root, or the name of a package. */
  to: string
  isPackage: boolean
  isTypeOnly: boolean
}

const files = SOURCES.flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(folder, file)),
)

const imports = files.flatMap(importsOf)

function importsOf(from: string): Import[] {
  const found: Import[] = []
  const add = (specifier: string, isTypeOnly: boolean) => found.push({ from, ...resolve(from, specifier), isTypeOnly })
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      const { importClause: clause } = node
      const named = clause?.namedBindings
      const areAllTypes =
        !clause?.name && named && ts.isNamedImports(named) && named.elements.every(({ isTypeOnly }) => isTypeOnly)
      add(node.moduleSpecifier.text, clause?.isTypeOnly === true || areAllTypes === true)
    } else if (ts.isExportDeclaration(node) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) {
      add(node.moduleSpecifier.text, node.isTypeOnly)
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add((node.argument.literal as ts.StringLiteral).text, true)
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add((node.arguments[0] as ts.StringLiteral).text, false)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(from, readFileSync(join(root, from), 'utf8'), ts.ScriptTarget.Latest))
  return found
}

function resolve(from: string, specifier: string): { to: string; isPackage: boolean } {
  const verifier = /^@latchkey\/verifier(?:\/(.+))?$/.exec(specifier)
  if (verifier) return { to: sourceOfVerifier(verifier[1]), isPackage: false }
  if (!specifier.startsWith('.')) {
    return { to: /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier, isPackage: true }
  }
  return { to: normalize(join(dirname(from), specifier)).replace(/\.js$/, '.ts'), isPackage: false }
}

/** The source behind a subpath that the verifier's package exports. */
function sourceOfVerifier(subpath: string | undefined): string {
  const { exports } = JSON.parse(readFileSync(join(root, 'verifier/package.json'), 'utf8'))
  const built: string = exports[subpath === undefined ? '.' : `./${subpath}`]?.default ?? `./dist/${subpath}.js`
  return built.replace('./dist/', 'verifier/src/').replace(/\.js$/, '.ts')
}

/** The room of `src/routes/login.ts` is `routes`; the room of `src/app.ts` is `app`. */
function roomOf(file: string): string {
  const [top = '', second = ''] = file.split('/')
  return top === 'src' ? second.replace(/\.ts$/, '') : top
}

/** The table of CONTRIBUTING.md: the rooms that a room, or one of its files, may import. */
function readRules(): Map<string, Set<string>> {
  const page = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8')
  const table = /^```arrows\n(.*?)^```$/ms.exec(page)?.[1] ?? ''
  return new Map(
    table
      .trim()
      .split('\n')
      .map((line) => {
        const [name = '', targets = ''] = line.split('->').map((part) => part.trim())
        return [name, new Set(targets.split(/ (?!\()/).filter((target) => target !== ''))]
      }),
  )
}

const rules = readRules()
const rulesFor = (file: string) =>
  rules.get(file.replace(/^src\/|\.ts$/g, '')) ?? rules.get(roomOf(file)) ?? new Set<string>()

function isAllowed({ from, to, isTypeOnly }: Import): boolean {
  const room = roomOf(to)
  const allowed = rulesFor(from)
  return room === roomOf(from) || allowed.has(room) || (isTypeOnly && allowed.has(`${room} (types)`))
}

const write = ({ from, to }: Import) => `${from} -> ${to}`

test('every import follows the arrows of CONTRIBUTING.md', async (t) => {
  t.ok(imports.length > 100, 'the imports have been read')
  for (const { from, to, isPackage } of imports) {
    if (!isPackage) t.ok(existsSync(join(root, to)), `${from} -> ${to} is a file`)
  }
  const wrong = imports.filter((each) => !each.isPackage && !isAllowed(each)).map(write)
  t.strictSame(wrong, [], 'a room imports what it may not: the table in CONTRIBUTING.md says what it may')
})

test('every room and file has a line in the table, and every arrow of the table is used', async (t) => {
  const rooms = new Set(files.map(roomOf))
  for (const room of rooms) t.ok(rules.has(room), `${room} has a line`)
  for (const [name, targets] of rules) {
    const using = imports.filter(({ from }) => roomOf(from) === name || from.replace(/^src\/|\.ts$/g, '') === name)
    t.ok(rooms.has(name) || using.length > 0, `${name} is there`)
    for (const target of targets) {
      const room = target.replace(' (types)', '')
      t.ok(
        using.some(({ to, isPackage }) => !isPackage && roomOf(to) === room),
        `${name} -> ${target} is used`,
      )
    }
  }
})

test('the schemas import no package except typebox, and the rooms import nothing of HTTP', async (t) => {
  const packages = imports.filter(({ isPackage }) => isPackage)
  const ofSchemas = packages.filter(({ from, to }) => roomOf(from) === 'schemas' && to !== 'typebox')
  t.strictSame(ofSchemas.map(write), [])
  const accounts = ['users', 'clients', 'factors', 'tickets', 'throttle', 'lifecycle']
  const rooms = [...accounts, 'sessions', 'revocations', 'tokens', 'database']
  const http = packages.filter(({ from, to }) => rooms.includes(roomOf(from)) && /fastify|^node:http/.test(to))
  t.strictSame(http.map(write), [])
})

test('the build bundles TypeBox and Kysely, and no other file imports them', async (t) => {
  const bundled = imports.filter(({ to }) => to === 'typebox' || to === 'kysely').map(write)
  t.strictSame(bundled.sort(), ['schemas/typebox.ts -> typebox', 'src/database/kysely.ts -> kysely'])
  for (const file of ['schemas/typebox.js', 'src/database/kysely.js']) {
    t.notMatch(
      readFileSync(join(root, 'dist', file), 'utf8'),
      /^(import|export) .*\bfrom\b/m,
      `${file} loads no module`,
    )
  }
})

test('there is no import cycle, not even of types', async (t) => {
  const targets = new Map<string, string[]>()
  for (const { from, to, isPackage } of imports) {
    if (!isPackage) targets.set(from, [...(targets.get(from) ?? []), to])
  }
  const done = new Set<string>()
  const visit = (file: string, path: string[]): void => {
    if (path.includes(file)) {
      t.fail([...path.slice(path.indexOf(file)), file].join(' -> '))
      return
    }
    if (done.has(file)) return
    for (const target of targets.get(file) ?? []) visit(target, [...path, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
  t.equal(done.size, files.length)
})

test('no folder has a name that says nothing about its content', async (t) => {
  const folders = (within: string): string[] =>
    readdirSync(within, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !NOT_OURS.includes(entry.name))
      .flatMap(({ name }) => [join(within, name), ...folders(join(within, name))])
  const ours = folders(root).map((folder) => relative(root, folder))
  t.ok(ours.includes('src/routes'))
  t.strictSame(
    ours.filter((folder) => FORBIDDEN_FOLDERS.includes(folder.split('/').at(-1) ?? '')),
    [],
  )
})
