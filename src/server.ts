import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createService, type Service } from './app.js'
import type { Config } from './config/config.js'
import { addDevelopmentSecrets } from './config/development-secrets.js'
import { ConfigError, readConfig } from './config/read.js'
import { createLogger } from './log.js'
import { SessionStoreRefused } from './sessions/registration.js'
import { standardOutput } from './standard-output.js'
import { startLine, startupBanner } from './startup-banner.js'
import { Unavailable } from './unavailable.js'

/** Milliseconds for which a cluster may still send requests to a pod that is not ready. */
const DRAIN_TIME = 5000
/** Milliseconds after the drain. A request that is still open then is cut off. */
const CLOSE_TIME = 10_000
/** The first signal ends the process after it has answered its requests. The second signal ends it immediately. */
const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const

// Listen before anything else. By default these signals end the process, or open a debugger to every user of the machine
// (SIGUSR1). A log rotation or a closed terminal sends them. SIGHUP also reads the key file again.
for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) process.on(signal, () => {})

const config = readConfigOrExit()
const logger = createLogger(config.logLevel)
// Node would write them to standard error, and wait there for a reader that has stopped reading.
process.removeAllListeners('warning')
process.on('warning', (err) => logger.warn({ err }, 'warning of Node'))
// A rejected promise that no code awaits concerns one request. The other requests continue.
process.on('unhandledRejection', (err) => logger.error({ err }, 'unhandled rejection'))

const { service, address } = await startOrExit()
process.once('SIGTERM', () => stop('SIGTERM', config.production ? DRAIN_TIME : 0))
process.once('SIGQUIT', () => stop('SIGQUIT', config.production ? DRAIN_TIME : 0))
process.once('SIGINT', () => stop('SIGINT', 0))
const portOf = ({ server }: Service['app']) => (server.address() as AddressInfo).port
const ports = { port: portOf(service.app), managementPort: portOf(service.management) }
logger.info(startLine(config, service.kids(), ports), 'started')
if (config.exposed) {
  logger.warn(
    { host: config.host },
    'NOT FOR PRODUCTION: other machines can reach this service, and NODE_ENV is not production. ' +
      'Sign-up is open unless SIGNUP is closed, and weak secrets are accepted. Set NODE_ENV=production, or HOST=127.0.0.1',
  )
}
if (!config.production) standardOutput.write(startupBanner(config, address))

async function startOrExit(): Promise<{ service: Service; address: string }> {
  try {
    const service = await createService(config, logger)
    await service.management.listen({ host: config.host, port: config.managementPort })
    return { service, address: await service.app.listen({ host: config.host, port: config.port }) }
  } catch (error) {
    return exit(describeStartFailure(error as NodeJS.ErrnoException))
  }
}

async function stop(signal: NodeJS.Signals, drainTime: number): Promise<void> {
  // A second signal ends the process immediately.
  for (const again of STOP_SIGNALS) process.removeAllListeners(again).once(again, () => process.exit(1))
  logger.info({ signal, drainTime }, 'stopping')
  service.drain()
  await sleep(drainTime)
  setTimeout(() => {
    logger.warn('requests were still open')
    process.exit(1)
  }, CLOSE_TIME).unref()
  await service.close()
  logger.info('stopped')
  process.exit(0)
}

function readConfigOrExit(): Config {
  try {
    return addDevelopmentSecrets(readConfig(process.env))
  } catch (error) {
    if (error instanceof ConfigError) return exit(error.message)
    throw error
  }
}

function describeStartFailure(error: NodeJS.ErrnoException): string {
  if (error.code === 'EADDRINUSE') {
    return `port ${(error as { port?: number }).port} is taken: set PORT or MANAGEMENT_PORT to another`
  }
  if (error instanceof Unavailable) return `${error.message}: check DATABASE_URL, and that the server runs`
  if (error instanceof SessionStoreRefused) return error.message
  if (error.syscall === 'listen' || error.syscall === 'getaddrinfo') return `${error.message}: check HOST and the ports`
  return error.stack ?? error.message
}

function exit(message: string): never {
  process.stderr.write(`latchkey: ${message}\n`)
  process.exit(1)
}
