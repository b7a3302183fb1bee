import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pLimit from 'p-limit'
import { killGroup } from './process-group.js'
import { PORT_BLOCKS } from './servers/ports.js'
import type { Summary } from './summary.js'

const PROGRAM = fileURLToPath(new URL('test-files.js', import.meta.url))

/** Test files that run in one process, one after the other. */
export type Group = readonly string[]

export interface SuiteOptions {
  /** How many processes run at the same time. */
  jobs: number
  /** Whether a group has time limits. One such group runs at a time, beside `jobsBesideLimits` processes of other groups. */
  hasTimeLimits(group: Group): boolean
  jobsBesideLimits: number
  /** The timeout of a group in seconds. */
  timeout: number
  envOf(group: Group): NodeJS.ProcessEnv
  summary: Summary
  /** Ends the processes, and starts no other. */
  signal: AbortSignal
  /** Receives the TAP of each group when its process has ended. */
  print(tap: string, isOk: boolean): void
  /** Receives what a process writes to standard error, at once. */
  printError(chunk: Buffer): unknown
}

/** Characters of standard error in the summary, after a crash. */
const CRASH_LENGTH = 2000

/**
 * Runs each group in a process of its own. tap's own runner would watch every import of each process, for coverage and for
 * mocks, even with `--disable-coverage`. This would take 0.7 s of CPU for a process.
 */
export async function runSuite(groups: Group[], options: SuiteOptions): Promise<void> {
  const limited = groups.filter(options.hasTimeLimits)
  const others = groups.filter((group) => !limited.includes(group))
  const [jobs, one] = [pLimit(limited.length > 0 ? options.jobsBesideLimits : options.jobs), pLimit(1)]
  // Another run on the same machine probably begins at another block.
  const first = randomInt(PORT_BLOCKS)
  const portBlocks = Array.from({ length: PORT_BLOCKS }, (_, i) => String((first + i) % PORT_BLOCKS))
  let count = 0
  const run = async (group: Group) => {
    if (options.signal.aborted) return
    const began = performance.now()
    const portBlock = portBlocks.pop()
    const { lines, isOk } = await runGroup(group, options, portBlock)
    if (portBlock !== undefined) portBlocks.push(portBlock)
    count += 1
    const title = group.join(' ')
    const end = `${isOk ? 'ok' : 'not ok'} ${count} - ${title} # time=${(performance.now() - began).toFixed()}ms`
    options.print(`# Subtest: ${title}\n${lines.map((line) => `    ${line}\n`).join('')}${end}\n`, isOk)
  }
  const runLimited = async () => {
    await one.map(limited, run)
    jobs.concurrency = options.jobs
  }
  await Promise.all([runLimited(), jobs.map(others, run)])
}

async function runGroup(
  group: Group,
  { timeout, envOf, summary, signal, printError }: SuiteOptions,
  portBlock: string | undefined,
): Promise<{ lines: string[]; isOk: boolean }> {
  // With more room for young objects, the collection of garbage takes 5% less of the CPU.
  const options = ['--enable-source-maps', '--max-semi-space-size=32']
  const child = spawn(process.execPath, [...options, PROGRAM, ...group], {
    // Its own process group: the servers of the tests end with it, also when the run is interrupted.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...envOf(group), TAP: '1', TAP_TIMEOUT: String(timeout), LATCHKEY_TEST_PORT_BLOCK: portBlock },
  })
  const kill = () => killGroup(child)
  signal.addEventListener('abort', kill)
  // At SIGALRM, tap says which handles keep the process running. SIGKILL ends a process that hangs in a loop.
  const alarm = setTimeout(() => child.kill('SIGALRM'), (timeout + 5) * 1000)
  const deadline = setTimeout(kill, (timeout + 15) * 1000)
  const [exited, closed] = [once(child, 'exit'), once(child, 'close')]
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    printError(chunk)
    errors = (errors + chunk).slice(-CRASH_LENGTH)
  })
  const failedBefore = summary.failed
  const reader = summary.reader(group)
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    reader.write(line)
    lines.push(line)
  }
  const { isOk, untested } = await reader.end()
  const [code, killedBy] = await exited
  clearTimeout(alarm)
  clearTimeout(deadline)
  signal.removeEventListener('abort', kill)
  kill()
  // A server that a test did not stop, in a process group of its own, would hold standard error open.
  await Promise.race([closed, sleep(1000, undefined, { ref: false })])
  child.stderr.destroy()
  for (const file of untested)
    summary.fail(`FAILED ${file}\nThe file has no result. Its process ended with ${killedBy ?? code}`)
  // After an uncaught error, Node prints its version last. tap then fails each test that was left, and does not know the cause.
  const crash = code !== 0 && /^Node\.js v\d/m.test(errors) ? `:\n${errors}` : ''
  if (crash || ((!isOk || code !== 0) && summary.failed === failedBefore)) {
    summary.fail(`FAILED ${group.join(' ')}\nThe process ended with ${killedBy ?? code}${crash}`)
  }
  return { lines, isOk: isOk && code === 0 }
}
