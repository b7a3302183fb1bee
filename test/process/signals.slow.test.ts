import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { type Test, test } from 'tap'
import { eventually } from '../support/eventually.js'
import { keyFileSettings, makeKey, writeKeyFile } from '../support/keys.js'
import { environment, PASSWORD, type SpawnedService, spawnService } from '../support/service.js'

const HARMLESS = ['SIGHUP', 'SIGPIPE', 'SIGUSR1', 'SIGUSR2'] as const

/** Whether the process has handled all signals sent so far. */
const arePending = ({ process }: SpawnedService) =>
  !/^ShdPnd:\s*0+$/m.test(readFileSync(`/proc/${process.pid}/status`, 'utf8'))

async function sendAll(t: Test, service: SpawnedService): Promise<void> {
  for (const signal of HARMLESS) {
    service.process.kill(signal)
    await eventually(
      () => service.process.exitCode !== null || service.process.signalCode !== null || !arePending(service),
    )
    t.equal((await fetch(`${service.managementUrl}/livez`)).status, 200, signal)
  }
}

test('O4: SIGHUP, SIGPIPE, SIGUSR1 and SIGUSR2 do not end the process or open a debugger, with and without a key file', async (t) => {
  for (const settings of [{}, keyFileSettings(writeKeyFile(t, await makeKey('ES256')))]) {
    const service = await spawnService(t, await environment(t, 'sqlite', settings))
    await sendAll(t, service)
    t.equal((await service.api.signUp('ada', PASSWORD)).status, 201)
    t.notMatch(service.output(), 'Debugger listening')
    const isOpen = await new Promise((resolve) => {
      const socket = connect(9229, '127.0.0.1', () => resolve(true))
      socket.on('error', () => resolve(false))
    })
    t.equal(isOpen, false, 'no debugger')
  }
})

test('O4: these signals do not end a drain, and SIGQUIT drains like SIGTERM', async (t) => {
  const service = await spawnService(t, await environment(t, 'sqlite', { NODE_ENV: 'production' }))
  const ended = service.end('SIGQUIT')
  await eventually(async () => (await fetch(`${service.managementUrl}/readyz`)).status === 503)
  await sendAll(t, service)
  t.equal(await ended, 0)
  t.match(service.output(), '"msg":"stopped"')
})

test('O4: a second SIGINT, SIGTERM or SIGQUIT ends the process at once', async (t) => {
  for (const second of ['SIGINT', 'SIGTERM', 'SIGQUIT'] as const) {
    const service = await spawnService(t, await environment(t, 'sqlite', { NODE_ENV: 'production' }))
    const ended = service.end('SIGTERM')
    await eventually(() => service.output().includes('"msg":"stopping"'))
    service.process.kill(second)
    t.equal(await ended, 1, second)
  }
})
