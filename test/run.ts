import { spawn } from 'node:child_process'
import { installServers } from './servers/install.js'
import { startPostgres } from './servers/postgres.js'

/**
 * `npm test`: installs what is missing, starts Postgres once for all test files, runs them, and stops it.
 * Arguments go to tap: `npm test -- dist/test/config.test.js`.
 */
installServers()
const postgres = await startPostgres()
const stop = () => postgres.stop()
process.on('SIGINT', stop).on('SIGTERM', stop)
try {
  process.exitCode = await new Promise<number>((resolve, reject) => {
    spawn('npx', ['tap', ...process.argv.slice(2)], {
      stdio: 'inherit',
      env: { ...process.env, LATCHKEY_TEST_POSTGRES: postgres.url },
    })
      .on('error', reject)
      .on('exit', (code) => resolve(code ?? 1))
  })
} finally {
  stop()
}
