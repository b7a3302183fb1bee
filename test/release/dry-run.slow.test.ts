import { execFileSync, spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { t as suite, test } from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import { ARCHIVE, PRODUCTION, writeManifests } from '../../release/manifests.js'
import { Api } from '../support/api.js'
import { ROOT, run } from '../support/consumer.js'
import { eventually } from '../support/eventually.js'
import { listen } from '../support/key-server.js'
import { kustomize, type Manifest } from '../support/kustomize.js'
import { danglingReferences, pods } from '../support/references.js'
import { locate } from '../support/servers/install.js'
import { freePort } from '../support/servers/ports.js'
import { CLIENT, JWT_SECRET, PASSWORD, REFRESH_SECRET, temporaryFolder } from '../support/service.js'

const IMAGE = `ghcr.io/example/latchkey@sha256:${'a1'.repeat(32)}`
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))

/** `npm run release:pack` in a copy of what is built already, because npm cannot pack a folder twice at once. */
const packed = (async () => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-release-'))
  suite.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const files = ['package.json', 'package-lock.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'tsconfig.base.json']
  for (const name of [...files, 'bin', 'dist', 'console', 'verifier', 'examples/todo/package.json']) {
    cpSync(join(ROOT, name), join(folder, name), { recursive: true })
  }
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const url = 'git+https://github.com/example/latchkey.git'
  await run('npm', ['pkg', 'set', `repository.url=${url}`, '--workspaces', '--include-workspace-root'], { cwd: folder })
  await run('npm', ['pkg', 'delete', 'scripts.prepack'], { cwd: folder })
  await run('npm', ['run', 'release:pack'], { cwd: folder })
  const assets = join(folder, 'release-assets')
  return { assets, url, archives: [`latchkey-verifier-${version}.tgz`, `latchkey-${version}.tgz`] }
})()

/** Unpacks an archive. Returns its folder. */
function unpack(archive: string, into: string): string {
  mkdirSync(into, { recursive: true })
  execFileSync('tar', ['-xzf', archive, '-C', into])
  return join(into, readdirSync(into)[0] ?? '')
}

test('each package has the files that it needs, its repository and its licence, and no other file', async (t) => {
  const { assets, archives, url } = await packed
  t.strictSame(readdirSync(assets).sort(), [...archives].sort())
  const [verifier = '', service = ''] = archives.map((archive) =>
    unpack(join(assets, archive), join(temporaryFolder(t), archive)),
  )
  for (const folder of [verifier, service]) {
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    t.equal(manifest.repository.url, url)
    t.equal(manifest.version, version)
    t.notOk(manifest.private)
    for (const name of ['README.md', 'LICENSE', 'CHANGELOG.md']) t.ok(existsSync(join(folder, name)), name)
    for (const [, file] of Object.entries<string>(manifest.bin))
      t.match(readFileSync(join(folder, file), 'utf8'), /^#!/)
  }
  const files = readdirSync(service, { recursive: true, encoding: 'utf8' })
  const wanted = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(ts|lua)$/.test(file))
    .map((file) => `dist/src/${file.replace(/\.ts$/, '.js')}`)
  for (const file of wanted) t.ok(files.includes(file), file)
  const others = files.filter(
    (file) =>
      !/^(bin(\/latchkey\.js)?|dist|dist\/(src|schemas)(\/.*)?|console(\/.*)?|[A-Z]+(\.md)?|package\.json)$/.test(file),
  )
  t.strictSame(others, [])
})

test('npm would publish both archives, and a dry run of this step of the workflow sends nothing', async (t) => {
  const { assets, archives } = await packed
  // A registry that knows no package.
  const methods: string[] = []
  const registry = createServer((request, response) => {
    methods.push(request.method ?? '')
    response.writeHead(404).end('{}')
  })
  const port = await listen(t, registry)
  for (const archive of archives) {
    const options = [
      '--dry-run',
      '--loglevel',
      'notice',
      '--access',
      'public',
      '--tag',
      'latest',
      '--registry',
      `http://127.0.0.1:${port}`,
    ]
    const { stdout, stderr } = await run('npm', ['publish', ...options, join(assets, archive)])
    t.match(stdout + stderr, archive)
  }
  t.strictSame(
    methods.filter((method) => method !== 'GET'),
    [],
  )
})

test('npm publish by hand is refused while repository is an example', async (t) => {
  for (const folder of ['.', 'verifier']) {
    const guard = join(ROOT, 'verifier/prepublish.mjs')
    await t.rejects(run(process.execPath, [guard], { cwd: join(ROOT, folder) }), /repository .* is an example/, folder)
  }
})

test('the packed service starts, signs a person in, and has its console', async (t) => {
  const { assets, archives } = await packed
  const home = temporaryFolder(t)
  const folder = unpack(join(assets, archives[1] ?? ''), join(home, 'node_modules'))
  // What npm install would add. The verifier is a package of this release too.
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const [port, managementPort] = [await freePort(), await freePort()]
  const service = spawn(process.execPath, [join(folder, 'dist/src/cli/main.js'), 'serve'], {
    cwd: home,
    env: {
      PATH: process.env.PATH,
      ...{
        PORT: String(port),
        MANAGEMENT_PORT: String(managementPort),
        HOST: '127.0.0.1',
        CONSOLE: 'on',
        SIGNUP: 'open',
      },
      ...{ JWT_SECRET, REFRESH_SECRET, BOOTSTRAP_CLIENT: `${CLIENT.id}:${CLIENT.secret}` },
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  t.teardown(() => service.kill())
  const api = new Api(`http://127.0.0.1:${port}`, CLIENT)
  await eventually(() =>
    api.call('/sessions').then(
      ({ status }) => status === 401,
      () => false,
    ),
  )
  await api.signUp('ada', PASSWORD)
  t.ok((await api.tokens('ada', PASSWORD)).access_token)
  for (const path of ['/console/', '/docs', '/openapi.json']) t.equal((await api.call(path)).status, 200, path)
})

test('the manifests of a release render with the image by its digest, and the archive has the overlays', async (t) => {
  const folder = temporaryFolder(t)
  writeManifests(ROOT, IMAGE, folder, kustomize())
  const manifests: Manifest[] = parseAllDocuments(readFileSync(join(folder, PRODUCTION), 'utf8')).map((each) =>
    each.toJS(),
  )
  t.ok(manifests.length >= 10)
  t.strictSame(danglingReferences(manifests), [])
  const images = pods(manifests).flatMap(({ spec }) => spec.containers.map(({ image }: { image: string }) => image))
  t.ok(images.length >= 2)
  for (const image of images) t.equal(image, IMAGE)

  const k8s = unpack(join(folder, ARCHIVE), join(folder, 'unpacked'))
  for (const overlay of ['production', 'trial']) {
    const {
      images: [own],
    } = parse(readFileSync(join(k8s, 'overlays', overlay, 'kustomization.yaml'), 'utf8'))
    t.equal(`${own.newName}@${own.digest}`, IMAGE, overlay)
  }
  t.notOk(existsSync(join(k8s, 'overlays/trial/secrets')), 'no generated secret')
  for (const tag of ['ghcr.io/example/latchkey:1.0.0', 'latchkey', `latchkey@sha256:${'a'.repeat(63)}`, '']) {
    t.throws(() => writeManifests(ROOT, tag, folder, kustomize()), /has no digest/, tag)
  }
})

test('shellcheck finds no fault in the scripts of the workflows', async (t) => {
  const program = locate('shellcheck', [])
  if (!program) throw new Error('shellcheck is not installed: run the tests by `npm test`')
  const folder = temporaryFolder(t)
  for (const file of readdirSync(join(ROOT, '.github/workflows'))) {
    const { jobs } = parse(readFileSync(join(ROOT, '.github/workflows', file), 'utf8'))
    const steps = Object.values<{ steps?: { run?: string }[] }>(jobs).flatMap(({ steps = [] }) => steps)
    for (const [index, { run: script }] of steps.entries()) {
      if (script === undefined) continue
      const path = join(folder, `${file}-${index}.sh`)
      writeFileSync(path, script)
      await t.resolves(
        run(program, ['--shell=bash', path]).catch(({ stdout }) => Promise.reject(new Error(stdout))),
        script,
      )
    }
  }
})
