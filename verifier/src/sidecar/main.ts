#!/usr/bin/env node
import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import type { Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import type { TokenErrorCode } from '../token/token-error.js'
import { createVerifier } from '../verifier.js'
import { createSidecar } from './server.js'
import { readSettings, SettingsError, type SidecarSettings } from './settings.js'

/** Milliseconds for the requests in flight at SIGTERM. */
const DRAIN_TIME = 5000
/** Milliseconds between two log lines about the same code. */
const LOG_INTERVAL = 60_000
/** Refusals that point to a wrong setting, not to a caller. */
const REPORTED = new Set<TokenErrorCode>(['wrong_audience', 'wrong_issuer', 'unknown_key', 'unavailable'])

const HELP = `latchkey-sidecar verifies Latchkey's access tokens for a gateway or an application on the same host.
Settings, from the environment:
  LATCHKEY_URL        the URL of the service
  ISSUER              the issuer in tokens, if it is not LATCHKEY_URL
  AUDIENCE            the audiences of the application, separated by commas
  CLIENT_ID           a client with the scope introspect
  CLIENT_SECRET       its secret; or CLIENT_SECRET_FILE, a file with the secret
  CLIENT_ASSERTION_FILE
                      instead of a secret: a file with the token of a Kubernetes service account, or a JWT-SVID
  PORT                4180; or the path of a Unix socket
  HOST                127.0.0.1
  MAX_STALENESS       1s: without newer knowledge, the sidecar introspects each token
`

async function main(): Promise<void> {
  // Listen before anything else. By default these signals end the process, or open a debugger to every user of the machine
  // (SIGUSR1). A log rotation or a closed terminal sends them.
  for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) process.on(signal, () => {})
  // The reader of the log may go away, with its terminal or to start again.
  process.stderr.on('error', () => {})
  if (process.argv.length > 2) {
    process.stdout.write(HELP)
    process.exitCode = ['--help', '-h'].includes(process.argv[2] as string) ? 0 : 1
    return
  }
  const settings = readSettings(process.env)
  const verifier = createVerifier(settings.verifier)
  const reportedAt = new Map<TokenErrorCode, number>()
  const sidecar = createSidecar({
    verifier,
    onRefused({ code, message }) {
      if (!REPORTED.has(code) || Date.now() - (reportedAt.get(code) ?? 0) < LOG_INTERVAL) return
      reportedAt.set(code, Date.now())
      // Other messages are about the token, which a stranger may have written.
      const reason = code === 'unavailable' ? ` (${message})` : ''
      log(`a token was refused: ${code}${reason}. The same is not logged again for a minute`)
    },
    onFault: (error) => log(`a request failed: ${(error as Error).stack}`),
  })
  log(`listens on ${await listen(sidecar.server, settings.listen)}`)

  let isStopping = false
  const stop = async () => {
    // A second signal ends the process at once.
    if (isStopping) process.exit(1)
    isStopping = true
    setTimeout(() => process.exit(0), DRAIN_TIME).unref()
    await sidecar.drain()
    await verifier.close()
    process.exit(0)
  }
  process.on('SIGTERM', stop).on('SIGINT', stop)

  for (let reason = ''; !isStopping; ) {
    try {
      await verifier.ready()
      break
    } catch (error) {
      const { message } = error as Error
      if (message !== reason && !isStopping) log(`is not ready: ${message}`)
      reason = message
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
  if (isStopping) return
  sidecar.setReady()
  log('is ready')
}

async function listen(server: Server, address: SidecarSettings['listen']): Promise<string> {
  const start = () =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(address, () => {
        server.off('error', reject)
        resolve()
      })
    })
  if ('path' in address) {
    await removeStaleSocket(address.path)
    await start()
    // The group of the socket's owner may connect.
    chmodSync(address.path, 0o660)
    return address.path
  }
  await start()
  const { port } = server.address() as AddressInfo
  return `http://${address.host.includes(':') ? `[${address.host}]` : address.host}:${port}`
}

/**
 * A process that was killed leaves its socket behind. A socket on which somebody listens stays. So does everything that is not a
 * socket: a file refuses connections too, and PORT may name one by mistake.
 */
function removeStaleSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (!found) return Promise.resolve()
  if (!found.isSocket()) throw new SettingsError(`PORT: ${path} exists and is not a socket: name another path`)
  return new Promise((resolve) => {
    const probe = connect(path)
    probe.on('connect', () => {
      probe.destroy()
      resolve()
    })
    probe.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (code === 'ECONNREFUSED') unlinkSync(path)
      resolve()
    })
  })
}

function log(text: string): void {
  process.stderr.write(`latchkey-sidecar ${text}\n`)
}

main().catch((error: Error) => {
  const lines = error instanceof SettingsError ? error.message.split('\n') : [error.message]
  process.stderr.write(lines.map((line) => `latchkey-sidecar: ${line}\n`).join(''))
  process.exit(1)
})
