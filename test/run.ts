import { spawn } from 'node:child_process'
import { installServers } from './servers/install.js'
import { startPostgres } from './servers/postgres.js'

/**
 * `npm test`: installs what is missing, starts Postgres once for all test files, runs them, and stops it.
 * Arguments go to tap: `npm test -- dist/test/config.test.js`. In a log, which has TAP, the last line is the sum in words.
 */
installServers()
const postgres = await startPostgres()
const stop = () => postgres.stop()
process.on('SIGINT', stop).on('SIGTERM', stop)
// A terminal gets tap's own report, with its sum.
const isTerminal = process.stdout.isTTY
let end = ''
try {
  process.exitCode = await new Promise<number>((resolve, reject) => {
    const tap = spawn('npx', ['tap', ...process.argv.slice(2)], {
      stdio: ['inherit', isTerminal ? 'inherit' : 'pipe', 'inherit'],
      env: { ...process.env, LATCHKEY_TEST_POSTGRES: postgres.url },
    })
    tap.stdout?.on('data', (chunk) => {
      process.stdout.write(chunk)
      end = (end + chunk).slice(-1000)
    })
    tap.on('error', reject).on('close', (code) => resolve(code ?? 1))
  })
} finally {
  stop()
  if (!isTerminal) process.stdout.write(`\n${describe(end)}\n`)
}

/** From TAP's closing comment: `# { total: 27, pass: 27 }`. */
function describe(end: string): string {
  const totals = /^# \{ total: .*\}$/m.exec(end)?.[0] ?? ''
  const count = (name: string) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(totals)?.[1] ?? 0)
  const skipped = count('skip') + count('todo')
  return `${count('pass')} passed, ${count('fail')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}
