import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Failures } from './support/failures.js'
import { installServers } from './support/servers/install.js'
import { startPostgres } from './support/servers/postgres.js'

/**
 * `npm test` runs every test file that is not slow. `npm run test:all` (`--all`) runs every file with more rounds.
 * `--all --coverage` measures coverage too. `npm run test:rest` (`--rest`) runs what `npm test` leaves out. Other arguments go to tap: `npm test -- dist/test/config/config.test.js`. Missing servers are
 * installed, and one Postgres serves all files. In a log the output is TAP. The output ends with the failed assertions and
 * the sum: N passed, N failed.
 */
const args = process.argv.slice(2)
const isRest = args.includes('--rest')
const isAll = isRest || args.includes('--all')
const forTap = args.filter((arg) => !['--all', '--rest', '--coverage'].includes(arg))
const suite = [process.execPath, fileURLToPath(new URL('./support/suite.js', import.meta.url))]
const files = testFiles().filter((file) => (isRest ? isSlow(file) || hasMoreRounds(file) : isAll || !isSlow(file)))
const [program = '', ...rest] = args.includes('--coverage')
  ? ['npx', 'tap', ...forTap, ...files]
  : forTap.length > 0
    ? ['npx', 'tap', ...forTap]
    : [...suite, ...files]

installServers(isAll || args.some(isSlow) ? 'all' : 'stores')
const postgres = await startPostgres({ durable: false })
const stop = () => postgres.stop()
process.on('SIGINT', stop).on('SIGTERM', stop)
const isTerminal = process.stdout.isTTY
const isTapReport = isTerminal && program === 'npx'
const failures = new Failures()
let totals = ''
try {
  const child = spawn(program, rest, {
    stdio: ['inherit', isTapReport ? 'inherit' : 'pipe', 'inherit'],
    env: { ...process.env, LATCHKEY_TEST_POSTGRES: postgres.url, ...(isAll && { LATCHKEY_TEST_ALL: '1' }) },
  })
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', reject).on('close', (code) => resolve(code ?? 1))
  })
  if (child.stdout) totals = await print(child.stdout)
  process.exitCode = await ended
} finally {
  stop()
  if (!isTapReport) process.stdout.write(`\n${await failures.list()}${describe(totals)}\n`)
}

/** Reads the folder of the sources, because an old build may hold tests that were deleted. */
function testFiles(): string[] {
  return readdirSync('test', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => `dist/test/${file.replace(/\.ts$/, '.js')}`)
    .sort()
}

/** The slow files are `*.slow.test.ts` and the folders that need minutes, a browser, a gateway or Prometheus. */
function isSlow(file: string): boolean {
  return /^dist\/test\/(deploy|examples|faults|gateways)\/|\.slow\.test\.js$/.test(file)
}

/** Whether the file runs more rounds in `npm run test:all` than in `npm test`. */
function hasMoreRounds(file: string): boolean {
  return readFileSync(file.replace(/^dist\/(.*)\.js$/, '$1.ts'), 'utf8').includes('/size.js')
}

/**
 * Prints TAP. On a terminal it prints one line for each file, and all output of a failed file. Returns the line with
 * the totals.
 */
async function print(tap: NodeJS.ReadableStream): Promise<string> {
  let block: string[] = []
  let totals = ''
  for await (const line of createInterface({ input: tap })) {
    failures.read(line)
    if (line.startsWith('# { total: ')) totals = line
    if (!isTerminal) {
      process.stdout.write(`${line}\n`)
    } else if (/^(not )?ok /.test(line)) {
      process.stdout.write(`${line.startsWith('not') ? `${block.join('\n')}\n` : ''}${line}\n`)
      block = []
    } else {
      block.push(line)
    }
  }
  return totals
}

/** Reads TAP's closing comment: `# { total: 27, pass: 27 }`. */
function describe(totals: string): string {
  const count = (name: string) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(totals)?.[1] ?? 0)
  const skipped = count('skip') + count('todo')
  return `${count('pass')} passed, ${count('fail')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}
