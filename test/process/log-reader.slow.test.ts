import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Test, test } from 'tap'
import { Api } from '../support/api.js'
import { eventually } from '../support/eventually.js'
import { scrape } from '../support/scrape.js'
import { freePort } from '../support/servers/ports.js'
import { CLIENT, type Environment, environment, PASSWORD, temporaryFolder } from '../support/service.js'

interface Logged {
  process: ChildProcess
  api: Api
  managementUrl: string
  /** What has come out since the last call, and the pipe holds: at most 64 KiB. */
  read(): string
  /** Takes the reading end away, or gives the pipe a new one. */
  closeReader(): void
  openReader(): void
}

/** The service with a named pipe as its standard output. Nothing reads the pipe until the test does. */
async function start(t: Test, overrides: Environment = {}): Promise<Logged> {
  const pipe = join(temporaryFolder(t), 'log')
  execFileSync('mkfifo', [pipe])
  const openReader = () => openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
  let reader = openReader()
  const writer = openSync(pipe, constants.O_WRONLY)
  const [port, managementPort] = [await freePort(), await freePort()]
  const env = await environment(t, 'sqlite', { LOG_LEVEL: 'debug', ...overrides })
  const child = spawn(process.execPath, [fileURLToPath(new URL('../../src/cli/main.js', import.meta.url)), 'serve'], {
    env: { PATH: process.env.PATH, ...env, PORT: String(port), MANAGEMENT_PORT: String(managementPort) },
    stdio: ['ignore', writer, 'inherit'],
  })
  closeSync(writer)
  t.teardown(() => {
    child.kill('SIGKILL')
    if (reader >= 0) closeSync(reader)
  })
  const managementUrl = `http://127.0.0.1:${managementPort}`
  await eventually(
    () =>
      fetch(`${managementUrl}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      ),
    120_000,
  )
  const chunk = Buffer.alloc(65_536)
  return {
    process: child,
    api: new Api(`http://127.0.0.1:${port}`, CLIENT),
    managementUrl,
    read() {
      let text = ''
      try {
        for (let size = readSync(reader, chunk); size > 0; size = readSync(reader, chunk)) {
          text += chunk.toString('latin1', 0, size)
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      }
      return text
    },
    closeReader() {
      closeSync(reader)
      reader = -1
    },
    openReader() {
      reader = openReader()
    },
  }
}

/** Requests that make two lines of about 300 bytes each. */
async function makeLines({ api }: Logged, requests: number): Promise<void> {
  const authorization = `Basic ${Buffer.from('todo:wrong').toString('base64')}`
  for (let done = 0; done < requests; done += 200) {
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        api.call('/introspect', {
          form: { token: 'x' },
          headers: { authorization, 'x-request-id': `${done + i}-`.padEnd(128, 'x') },
        }),
      ),
    )
    if (answers.some(({ status }) => status !== 401)) throw new Error('a request was not refused')
  }
}

test('O3: a log reader that stops reading does not stop the service; lines past 4 MiB are dropped, counted, and reported later', async (t) => {
  const service = await start(t)
  // The banner.
  service.read()
  await service.api.signUp('ada', PASSWORD)
  const { access_token: token } = await service.api.tokens('ada', PASSWORD)
  const dropped = async () => (await scrape(service.managementUrl)).value('latchkey_log_lines_dropped_total') as number
  t.equal(await dropped(), 0)

  while ((await dropped()) === 0) await makeLines(service, 1000)

  t.equal((await fetch(`${service.managementUrl}/livez`)).status, 200)
  t.equal(await service.api.isActive(token), true)
  t.equal((await service.api.login('ada', PASSWORD)).status, 200)

  let text = ''
  let count = 0
  await eventually(async () => {
    text += service.read()
    const told = /"lines":(\d+),"msg":"log lines were dropped/.exec(text)
    if (told) count = Number(told[1])
    return told !== null
  })
  t.ok(text.length > 4_000_000, 'what was kept came out')
  const lines = text.slice(0, text.lastIndexOf('\n')).split('\n')
  for (const line of lines) if (!line.startsWith('{"level":') || !line.endsWith('}')) t.fail(`not a line: ${line}`)
  t.ok(count > 0)
  t.equal(count, await dropped())
  await service.api.login('ada', 'a wrong password')
  await eventually(() => service.read().includes('login.refused'))
})

test('O3: the process ends in time when the reader has stopped, and loses no line to a slow reader', async (t) => {
  for (const reads of [false, true]) {
    const service = await start(t)
    await makeLines(service, 600)
    const ended = once(service.process, 'exit')
    service.process.kill('SIGTERM')
    let text = ''
    const reading = setInterval(() => {
      if (reads) text += service.read()
    }, 20)
    const [code] = await ended
    clearInterval(reading)
    t.equal(code, 0)
    if (!reads) continue
    text += service.read()
    t.match(text, '"msg":"stopped"')
    t.equal(text.match(/"event":"client.refused"/g)?.length, 600, 'each line came')
  }
})

test('O3: the service survives the end of its log reader, and the next reader gets the kept lines', async (t) => {
  const service = await start(t)
  service.read()
  service.closeReader()
  await service.api.signUp('ada', PASSWORD)
  t.equal((await service.api.login('ada', PASSWORD)).status, 200)
  t.equal((await fetch(`${service.managementUrl}/livez`)).status, 200)
  service.openReader()
  let text = ''
  await eventually(() => {
    text += service.read()
    return text.includes('login.accepted')
  })
  t.match(text, '"event":"user.created"')
  t.equal(service.process.exitCode, null)
})
