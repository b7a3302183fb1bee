import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Api } from '../support/api.js'
import { freePort } from '../support/servers/ports.js'
import { CLIENT, JWT_SECRET, PASSWORD, REFRESH_SECRET } from '../support/service.js'
import { makeBaseImage, run } from './base.js'

/**
 * `npm run test:image` builds the images of the Dockerfile and runs them like a cluster: as the user of the image, on a
 * read-only root. Then it sends requests to them. It runs as root on Debian, takes a few minutes and needs the network.
 * The base image is kept for the next run: IMAGE_BASE names another one.
 */
const BASE = process.env.IMAGE_BASE ?? 'localhost/latchkey-test-base'
const project = fileURLToPath(new URL('../../../', import.meta.url))
const say = (text: string) => process.stdout.write(`${text}\n`)

interface ImageConfig {
  User: string
  Env: string[]
  Entrypoint: string[]
  Cmd?: string[]
  WorkingDir: string
  Labels?: Record<string, string>
  Healthcheck?: { Test: string[] }
  Volumes: Record<string, object>
}

let checks = 0
function expect(what: string, isSo: boolean): void {
  if (!isSo) throw new Error(`not so: ${what}`)
  checks += 1
  say(`  ok  ${what}`)
}

function install(): void {
  const missing = ['buildah', 'debootstrap'].filter((program) => !succeeds('which', program))
  if (missing.length === 0) return
  say(`Installing ${missing.join(', ')}`)
  const apt = (...args: string[]) =>
    execFileSync('apt-get', args, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    })
  apt('update', '-qq')
  apt('install', '-y', '-qq', '--no-install-recommends', ...missing)
}

function succeeds(program: string, ...args: string[]): boolean {
  try {
    execFileSync(program, args, {
      stdio: 'ignore',
      env: { ...process.env, BUILDAH_ISOLATION: 'chroot', STORAGE_DRIVER: 'vfs' },
    })
    return true
  } catch {
    return false
  }
}

/** An unpacked image with its configuration. */
class Image {
  readonly #container: string
  readonly root: string
  readonly config: ImageConfig
  constructor(readonly name: string) {
    this.#container = run('buildah', 'from', name)
    this.root = run('buildah', 'mount', this.#container)
    this.config = JSON.parse(run('buildah', 'inspect', '--type', 'image', name)).Docker.config
  }

  /**
   * Starts the image as its configuration says, with these additional settings. The root is mounted read-only, and the
   * volumes are empty folders of the image's user.
   */
  start(env: Record<string, string>, command = [...this.config.Entrypoint, ...(this.config.Cmd ?? [])]): ChildProcess {
    const { User: user, Env: own, WorkingDir: folder, Volumes: volumes } = this.config
    const settings = [...own, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)]
    const script = `
      set -e
      mount --make-rprivate /
      mount --bind "$0" "$0"
      ${Object.keys(volumes)
        .map(
          (place) =>
            `mount -t tmpfs -o mode=700,uid=${user.split(':')[0]},gid=${user.split(':')[1]} tmpfs "$0${place}"`,
        )
        .join('\n')}
      mount -o remount,ro,bind "$0"
      root=$0; exec chroot --userspec=${user} "$root" /usr/bin/env -i -C ${folder} "$@"`
    return spawn('unshare', ['--mount', 'sh', '-c', script, this.root, ...settings, ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  remove(): void {
    run('buildah', 'rm', this.#container)
  }
}

const outputs = new WeakMap<ChildProcess, string>()

/** The output of a process until its exit, and its exit status. */
async function output(child: ChildProcess): Promise<{ text: string; code: number | null }> {
  outputs.set(child, '')
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => outputs.set(child, `${outputs.get(child)}${chunk}`))
  }
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { text: `${outputs.get(child)}`.trim(), code }
}

async function answers(url: string, child: ChildProcess): Promise<void> {
  for (const deadline = Date.now() + 30_000; ; ) {
    const isOk = await fetch(url).then(
      ({ ok }) => ok,
      () => false,
    )
    if (isOk) return
    if (child.exitCode !== null || Date.now() > deadline) {
      throw new Error(`nothing answers at ${url}:\n${outputs.get(child)}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function checkService(): Promise<void> {
  const image = new Image('localhost/latchkey:test')
  const [port, managementPort] = [await freePort(), await freePort()]
  const env = {
    PORT: String(port),
    MANAGEMENT_PORT: String(managementPort),
    ISSUER: `http://localhost:${port}`,
    JWT_SECRET,
    REFRESH_SECRET,
    BOOTSTRAP_CLIENT: `${CLIENT.id}:${CLIENT.secret}`,
    SIGNUP: 'open',
    CONSOLE: 'on',
  }
  try {
    const { config, root } = image
    expect(
      `it runs as ${config.User}, who is not root, and is named by number`,
      /^[1-9]\d*:[1-9]\d*$/.test(config.User),
    )
    expect('its labels tell what it is', config.Labels?.['org.opencontainers.image.title'] === 'Latchkey')
    const packages = run('ls', '-A', join(root, 'app/node_modules')).split('\n')
    expect(
      'it has no package that only development needs',
      !packages.some((name) => /^(tap|typescript|@biomejs)$/.test(name)),
    )
    expect('it has no test and no source', !succeeds('test', '-e', join(root, 'app/dist/test')))

    const refused = await output(image.start({}))
    expect('without its secrets it refuses to start, and says what is missing', refused.code === 1)
    say(refused.text.replace(/^/gm, '        '))
    const version = await output(image.start({}, ['latchkey', '--version']))
    expect(`latchkey is a command in it: ${version.text}`, version.code === 0)
    const written = await output(image.start({}, ['touch', '/app/x']))
    expect(`its root cannot be written to: ${written.text}`, written.code !== 0)

    const begin = Date.now()
    const child = image.start(env)
    const ended = output(child)
    try {
      await answers(`http://127.0.0.1:${managementPort}/readyz`, child)
      expect(`it is ready after ${Date.now() - begin} ms`, true)
      const api = new Api(`http://127.0.0.1:${port}`, CLIENT)
      expect('somebody signs up', (await api.signUp('ada', PASSWORD)).status === 201)
      const tokens = await api.tokens('ada', PASSWORD)
      expect('and signs in, and the token is live', await api.isActive(tokens.access_token))
      expect('and refreshes', (await api.refresh(tokens.refresh_token)).status === 200)
      expect('and signs out', (await api.logout(tokens.access_token)).status === 204)
      expect('and the token is dead', !(await api.isActive(tokens.access_token)))
      expect('it has the console', (await api.call('/console/')).text.includes('<title>Console'))
      for (const name of ['console.js', 'console.css', 'icon.svg']) {
        expect(`and its ${name}`, (await api.call(`/console/${name}`)).status === 200)
      }
      const metrics = await (await fetch(`http://127.0.0.1:${managementPort}/metrics`)).text()
      expect('it has metrics', metrics.includes('latchkey_sign_ins_total{result="accepted"} 1'))
      const [kind, ...probe] = config.Healthcheck?.Test ?? []
      const healthy = await output(image.start(env, probe))
      expect('its health check, as it stands in the image, finds it healthy', kind === 'CMD' && healthy.code === 0)
      const nobody = await output(image.start({ ...env, MANAGEMENT_PORT: '1' }, probe))
      expect('and finds nobody where nobody is', nobody.code === 1)
    } finally {
      child.kill('SIGTERM')
    }
    expect('SIGTERM ends it, with status 0', (await ended).code === 0)
  } finally {
    image.remove()
  }
}

async function checkTodo(): Promise<void> {
  const [service, todo] = [new Image('localhost/latchkey:test'), new Image('localhost/latchkey-todo:test')]
  const [port, managementPort, todoPort] = [await freePort(), await freePort(), await freePort()]
  const shared = { ISSUER: `http://localhost:${port}`, JWT_SECRET }
  const token = service.start({
    ...shared,
    PORT: String(port),
    MANAGEMENT_PORT: String(managementPort),
    REFRESH_SECRET,
    BOOTSTRAP_CLIENT: `${CLIENT.id}:${CLIENT.secret}`,
    AUDIENCE: 'todo',
  })
  const running = [{ child: token, ended: output(token) }]
  try {
    await answers(`http://127.0.0.1:${managementPort}/readyz`, token)
    const child = todo.start({
      ...shared,
      PORT: String(todoPort),
      TODO_DATABASE: 'data/todo.db',
      TOKEN_SERVICE: `http://127.0.0.1:${port}`,
      CLIENT_ID: CLIENT.id,
      CLIENT_SECRET: CLIENT.secret,
    })
    running.push({ child, ended: output(child) })
    await answers(`http://127.0.0.1:${todoPort}/`, child)
    expect('the todo example shows its page', true)
    const refused = await fetch(`http://127.0.0.1:${todoPort}/todos`)
    expect('and refuses who has no token', refused.status === 401)
  } finally {
    for (const { child } of running) child.kill('SIGTERM')
    await Promise.all(running.map(({ ended }) => ended))
    for (const each of [service, todo]) each.remove()
  }
}

function megabytes(folder: string): string {
  return `${Math.round(Number(run('du', '-sk', folder).split('\t')[0]) / 1024)} MB`
}

install()
if (!succeeds('buildah', 'inspect', '--type', 'image', BASE)) {
  say(`Making the base ${BASE}`)
  makeBaseImage(BASE)
}
for (const [target, name] of [
  ['service', 'localhost/latchkey:test'],
  ['todo', 'localhost/latchkey-todo:test'],
] as const) {
  const begin = Date.now()
  // Only the image format of Docker has health checks.
  const options = ['--format', 'docker', '--layers', '--target', target, '--build-arg', `BASE_IMAGE=${BASE}`]
  run('buildah', 'build', '--quiet', ...options, '--tag', name, project)
  say(`Built ${name} in ${Math.round((Date.now() - begin) / 1000)} s`)
}
const image = new Image('localhost/latchkey:test')
const base = new Image(BASE)
say(
  `Size: ${megabytes(image.root)}, of which ${megabytes(base.root)} are the base and ${megabytes(join(image.root, 'app'))} ours`,
)
for (const each of [image, base]) each.remove()
await checkService()
await checkTodo()
say(`${checks} checks passed`)
