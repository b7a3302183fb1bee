import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statfsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { killGroup } from './support/process-group.js'
import { installPrograms } from './support/servers/install.js'
import { createPostgresTemplate, startPostgres } from './support/servers/postgres.js'
import { type Group, runSuite } from './support/suite.js'
import { Summary } from './support/summary.js'

/**
 * `npm test` runs every test file that is not slow. `npm run test:all` (`--all`) runs every file with more rounds.
 * `npm run test:rest` (`--rest`) runs what `npm test` leaves out. `npm test -- dist/test/config/config.test.js` runs one file.
 * `--coverage` measures coverage too. Missing servers are installed, and one Postgres serves all files. In a log the output is
 * TAP. The output ends with the failed assertions and the sum: N passed, N failed.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    all: { type: 'boolean', default: false },
    rest: { type: 'boolean', default: false },
    coverage: { type: 'boolean', default: false },
    /** How many processes run at the same time. */
    jobs: { type: 'string' },
    /** The timeout of a process in seconds. */
    timeout: { type: 'string', default: '900' },
    // The default. Older commands name this option.
    'disable-coverage': { type: 'boolean' },
  },
})
/** A file system in memory. There a new Postgres database takes 25 ms of CPU. On a busy disk it takes up to 200 ms. */
const MEMORY = '/dev/shm'
/** At most so many files share a process. With more, the last process would run alone at the end. */
const GROUP_SIZE = 12
const SLOW_GROUP_SIZE = 4
/** What changes or measures the whole process: the jobs of tap, the timers, the CPU, the heap, the clock, umask or DNS. */
const WHOLE_PROCESS =
  /^t\.jobs\b|'node:(test|v8)'|\bcpuUsage\b|\bprocess\.umask\(|\b(Date|dns|globalThis)\.\w+ = |\bintercept\(globalThis\b/m
const isAll = values.all || values.rest
const files = positionals.length > 0 ? positionals : testFiles().filter(isWanted)
// The tests wait for timers and servers, so five processes keep two cores busy. Time limits need a core, so one file that has
// them runs beside four other processes.
const [jobs, jobsBesideLimits] = [Number(values.jobs ?? 5), 4]
const hasTimeLimits = ([file = '']: Group) => values.jobs === undefined && isAll && isTimed(file)

installPrograms(isAll || files.some(isSlow) ? 'all' : 'stores')
if (hasRoom(MEMORY)) process.env.TMPDIR = MEMORY
const postgres = await startPostgres({ durable: false })
await createPostgresTemplate(postgres.url)
const env = { ...process.env, LATCHKEY_TEST_POSTGRES: postgres.url, ...(isAll && { LATCHKEY_TEST_ALL: '1' }) }
const interrupted = new AbortController()
// A closed terminal sends SIGHUP. The test processes have groups of their own, so no signal of a terminal reaches them.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => interrupted.abort())
const summary = new Summary()
try {
  if (values.coverage) {
    await runCoverage()
  } else {
    const timeout = Number(values.timeout)
    const { signal } = interrupted
    const printError = (chunk: Buffer) => process.stderr.write(chunk)
    const suite = { jobs, jobsBesideLimits, hasTimeLimits, timeout, envOf, summary, signal, print, printError }
    await runSuite(groups(files), suite)
  }
} finally {
  postgres.stop()
  process.stdout.write(`\n${summary.text()}`)
  if (summary.failed > 0 || interrupted.signal.aborted) process.exitCode = 1
}

/** Whether the folder exists, and has room for what the tests write. A container often has 64 MB there. */
function hasRoom(folder: string): boolean {
  if (!existsSync(folder)) return false
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize > 4 * 2 ** 30
}

/** In `npm run test:rest` the quick files leave out the stores that they had in `npm test`. */
function envOf([file = '']: Group): NodeJS.ProcessEnv {
  return values.rest && positionals.length === 0 && !isSlow(file) ? { ...env, LATCHKEY_TEST_REST: '1' } : env
}

/** Reads the folder of the sources, because an old build may hold tests that were deleted. */
function testFiles(): string[] {
  return readdirSync('test', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => `dist/test/${file.replace(/\.ts$/, '.js')}`)
    .sort()
}

/**
 * Several files share a process, because a new process uses 2 s more of CPU until its code is compiled and optimised. A file of
 * the slow folders and a file that the command line names have a process of their own.
 */
function groups(files: string[]): Group[] {
  const isAlone = (file: string) => positionals.length > 0 || isInSlowFolder(file) || needsProcess(file)
  const alone = files.filter(isAlone)
  const shared = files.filter((file) => !alone.includes(file))
  const quick = shared.filter((file) => !isSlow(file))
  const isBrowserOrGateway = (file: string) => isInSlowFolder(file) && !isFault(file)
  const each = (which: (file: string) => boolean) => alone.filter(which).map((file) => [file])
  // The longest come first: none of them runs alone at the end.
  return [
    ...each(isFault),
    ...split(shared.filter(isSlow), SLOW_GROUP_SIZE),
    ...split(quick, GROUP_SIZE),
    ...each((file) => !isInSlowFolder(file)),
    ...each(isBrowserOrGateway),
  ]
}

/** Groups of this size at most. Neighbours, which often take as long as each other, come into different groups. */
function split(files: string[], size: number): Group[] {
  const count = Math.ceil(files.length / size)
  return Array.from({ length: count }, (_, index) => files.filter((_, i) => i % count === index))
}

function isWanted(file: string): boolean {
  return values.rest ? isSlow(file) || hasMoreRounds(file) : isAll || !isSlow(file)
}

/** The slow files are `*.slow.test.ts` and the folders that need minutes, a browser, a gateway or Prometheus. */
function isSlow(file: string): boolean {
  return isInSlowFolder(file) || file.endsWith('.slow.test.js')
}

function isInSlowFolder(file: string): boolean {
  return /^dist\/test\/(deploy|examples|faults|gateways)\//.test(file)
}

/** Whether the file has limits of wall time. Only fault tests have. */
function isTimed(file: string): boolean {
  return isFault(file) && /\bscaledLimit\b/.test(readFileSync(sourceOf(file), 'utf8'))
}

/** Fault tests wait for minutes until a service has recovered, and use little CPU meanwhile. */
function isFault(file: string): boolean {
  return file.startsWith('dist/test/faults/')
}

/** Whether the file runs more rounds in `npm run test:all` than in `npm test`. */
function hasMoreRounds(file: string): boolean {
  return /\/(size|replica-races)\.js|\b(anyStore|accountStores)\b/.test(readFileSync(sourceOf(file), 'utf8'))
}

/** Whether the file changes or measures its whole process. */
function needsProcess(file: string): boolean {
  return WHOLE_PROCESS.test(readFileSync(sourceOf(file), 'utf8'))
}

function sourceOf(file: string): string {
  return file.replace(/^dist\/(.*)\.js$/, '$1.ts')
}

/** Prints TAP. On a terminal it prints one line for each file, and all output of a failed file. */
function print(tap: string, isOk: boolean): void {
  const isBrief = process.stdout.isTTY && isOk
  process.stdout.write(isBrief ? `${tap.trimEnd().split('\n').at(-1)}\n` : `${tap}\n`)
}

/** Runs the files by tap's command, which measures coverage. */
async function runCoverage(): Promise<void> {
  const args = ['tap', '--reporter=tap', `--jobs=${jobs}`, `--timeout=${values.timeout}`, ...files]
  // Its own process group: npx passes no signal on to tap.
  const child = spawn('npx', args, { stdio: ['inherit', 'pipe', 'inherit'], env, detached: true })
  interrupted.signal.addEventListener('abort', () => killGroup(child))
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  const reader = summary.reader()
  for await (const line of createInterface({ input: child.stdout })) {
    reader.write(line)
    process.stdout.write(`${line}\n`)
  }
  await reader.end()
  const code = await ended
  if (code !== 0 && summary.failed === 0) summary.fail(`FAILED npx tap\nThe process ended with ${code}`)
}
