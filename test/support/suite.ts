import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import pLimit from 'p-limit'
import { PORT_BLOCKS } from './servers/ports.js'
import type { Summary } from './summary.js'

export interface SuiteOptions {
  /** How many files run at the same time. */
  jobs: number
  /** Whether a file has time limits. One such file runs at a time, beside the other files. */
  hasTimeLimits(file: string): boolean
  /** The timeout of a file in seconds. */
  timeout: number
  env: NodeJS.ProcessEnv
  summary: Summary
  /** Ends the files that run, and starts no other. */
  signal: AbortSignal
  /** Receives the TAP of each file when the file has ended. */
  print(tap: string, isOk: boolean): void
}

/**
 * Runs the given test files, each in its own process. tap's own runner would watch every import of each process, for coverage
 * and for mocks, even with `--disable-coverage`. This would take 0.7 s of CPU for a file, and half of the CPU of the suite.
 */
export async function runSuite(files: string[], options: SuiteOptions): Promise<void> {
  const [jobs, one] = [pLimit(options.jobs), pLimit(1)]
  // Another run on the same machine probably begins at another block.
  const first = randomInt(PORT_BLOCKS)
  const portBlocks = Array.from({ length: PORT_BLOCKS }, (_, i) => String((first + i) % PORT_BLOCKS))
  let count = 0
  await Promise.all(
    files.map((file) =>
      (options.hasTimeLimits(file) ? one : jobs)(async () => {
        if (options.signal.aborted) return
        const began = performance.now()
        const portBlock = portBlocks.pop()
        const { lines, isOk } = await runFile(file, options, portBlock)
        if (portBlock !== undefined) portBlocks.push(portBlock)
        count += 1
        const end = `${isOk ? 'ok' : 'not ok'} ${count} - ${file} # time=${(performance.now() - began).toFixed()}ms`
        options.print(`# Subtest: ${file}\n${lines.map((line) => `    ${line}\n`).join('')}${end}\n`, isOk)
      }),
    ),
  )
}

async function runFile(
  file: string,
  { timeout, env, summary, signal }: SuiteOptions,
  portBlock: string | undefined,
): Promise<{ lines: string[]; isOk: boolean }> {
  const child = spawn(process.execPath, ['--enable-source-maps', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...env, TAP: '1', TAP_TIMEOUT: String(timeout), LATCHKEY_TEST_PORT_BLOCK: portBlock },
  })
  const interrupt = () => child.kill()
  signal.addEventListener('abort', interrupt)
  // At SIGALRM, tap says which handles keep the process running. SIGKILL ends a process that hangs in a loop.
  const alarm = setTimeout(() => child.kill('SIGALRM'), (timeout + 5) * 1000)
  const kill = setTimeout(() => child.kill('SIGKILL'), (timeout + 15) * 1000)
  const ended = once(child, 'close')
  const failedBefore = summary.failed
  const reader = summary.reader(file)
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    reader.write(line)
    lines.push(line)
  }
  const { ok, count } = await reader.end()
  const [code, killedBy] = await ended
  clearTimeout(alarm)
  clearTimeout(kill)
  signal.removeEventListener('abort', interrupt)
  const isOk = ok && count > 0 && code === 0
  if (!isOk && summary.failed === failedBefore) {
    summary.fail(`FAILED ${file}\nThe process ended with ${killedBy ?? code}, and completed ${count} tests`)
  }
  return { lines, isOk }
}
