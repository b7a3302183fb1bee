import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { fileURLToPath } from 'node:url'
import { killOnExit } from './kill-on-exit.js'

/** Clock ticks in a second, in /proc. The kernel's interface fixes this number. */
const TICKS = 100

/** Node's options of `npm start`. All compared servers get them. */
const OPTIONS: string[] = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  .scripts.start.split(' ')
  .filter((word: string) => word.startsWith('--'))

/** A server in its own process, by default on core 0. Load and stores are on core 1. */
export interface Server {
  url: string
  process: ChildProcess
  /** The CPU time so far, user and system, of all threads. Milliseconds. */
  cpu(): number
  /** The resident memory. Megabytes. */
  memory(): number
  stop(): Promise<void>
}

/** Starts a compiled script of this project and waits until `url` answers. */
export function startServer(
  script: string,
  env: Record<string, string>,
  url: string,
  readiness = url,
  cores = '0',
): Promise<Server> {
  const path = isAbsolute(script) ? script : fileURLToPath(new URL(script, import.meta.url))
  return startCommand([process.execPath, ...OPTIONS, path], env, url, readiness, cores)
}

/** Starts a command and waits until `url` answers. */
export async function startCommand(
  command: readonly string[],
  env: Record<string, string>,
  url: string,
  readiness = url,
  cores = '0',
): Promise<Server> {
  const child = killOnExit(
    spawn('taskset', ['-c', cores, ...command], {
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'ignore', 'inherit'],
    }),
  )
  for (let tries = 0; ; tries += 1) {
    const answered = await fetch(readiness).then(
      ({ status }) => status < 500,
      () => false,
    )
    if (answered) break
    if (child.exitCode !== null || tries > 10_000) throw new Error(`${command.join(' ')} did not start`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return {
    url,
    process: child,
    cpu: () => measureCpuTime(child),
    memory() {
      const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]
      return Number(kilobytes) / 1024
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** CPU time that a process has used, user and system, of all its threads. Milliseconds. */
export function measureCpuTime({ pid }: ChildProcess): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) / TICKS) * 1000
}
