import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Server } from './server.js'

export const FORM_TYPE = 'application/x-www-form-urlencoded'

export interface Load {
  path: string
  /** A file in bench/wrk. */
  script: string
  args: readonly string[]
  /** More arguments for a round, from the number of earlier rounds and requests: a token that works once has its own round. */
  next?: (rounds: number, requests: number) => readonly string[]
  connections?: number
}

export interface Round {
  /** Microseconds of CPU that the server used for each request. */
  cpu: number
  /** Requests in a second. */
  throughput: number
  requests: number
}

const TRIES = 3

/**
 * Runs rounds of load on a server, from core 1. A round with any answer but 2xx is repeated, because a fast error must not
 * count. A busy machine may stop Redis for longer than its timeout. After the third such round the bench fails.
 */
export function load(
  server: Server,
  { path, script, args, next, connections = 50 }: Load,
): (seconds: number, tries?: number) => Promise<Round> {
  const lua = fileURLToPath(new URL(`../../bench/wrk/${script}`, import.meta.url))
  let rounds = 0
  let requests = 0
  return async function run(seconds, tries = TRIES): Promise<Round> {
    const wrk = ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '-s', lua, server.url + path, '--', ...args]
    const before = server.cpu()
    const { stdout } = await promisify(execFile)('taskset', ['-c', '1', ...wrk, ...(next?.(rounds, requests) ?? [])])
    const used = server.cpu() - before
    const count = Number(/(\d+) requests in/.exec(stdout)?.[1])
    rounds += 1
    requests += count + connections
    if (/Non-2xx|Socket errors/.test(stdout)) {
      process.stderr.write(`${path} did not answer 2xx:\n${stdout}`)
      if (tries <= 1) throw new Error(`${path} did not answer well`)
      return run(seconds, tries - 1)
    }
    const throughput = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1])
    return { cpu: (used * 1000) / count, throughput, requests: count }
  }
}

const SECONDS = 1
/** The first round does not count, because the JIT compiler needs longer for a service than for a bare route. */
const WARM_UP = 3

/** Runs rounds of load on a warm server. */
export function measureRounds(server: Server, what: Load): () => Promise<Round> {
  const run = load(server, what)
  let seconds = WARM_UP
  return () => {
    const round = run(seconds)
    seconds = SECONDS
    return round
  }
}

/** Runs rounds of load on a warm server. Returns the microseconds of CPU for each request. */
export function measureCpu(server: Server, what: Load): () => Promise<number> {
  const run = measureRounds(server, what)
  return async () => (await run()).cpu
}
