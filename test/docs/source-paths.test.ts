import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const FOLDERS = ['bench', 'console', 'docs', 'examples', 'k8s', 'release', 'schemas', 'src', 'test', 'verifier']

const files = FOLDERS.flatMap((folder) =>
  readdirSync(`${root}${folder}`, { recursive: true, encoding: 'utf8' })
    .filter((file) => !/(^|\/)(node_modules|dist)\//.test(file))
    .map((file) => `/${folder}/${file}`),
)

/** A page of decisions names `clients/clients.ts`, which is `src/clients/clients.ts`. */
const isThere = (path: string) => files.some((file) => file.endsWith(`/${path}`))

test('each source file that a page names is there', async (t) => {
  const pages = [...files.filter((file) => /^\/docs\/.*\.md$/.test(file)), '/README.md', '/CONTRIBUTING.md']
  const named = pages.flatMap((page) =>
    [...readFileSync(`${root}${page}`, 'utf8').matchAll(/`([\w/-]+(?:\.test)?\.(?:ts|lua))`/g)].map(
      ([, path = '']) => ({
        page,
        path,
      }),
    ),
  )
  t.ok(named.length > 20, `${named.length} files are named`)
  t.strictSame(
    named.filter(({ path }) => !isThere(path)),
    [],
  )
})
