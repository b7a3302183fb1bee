import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Server } from './server.js'

export const FORM = 'application/x-www-form-urlencoded'

export interface Load {
  path: string
  /** In bench/wrk. */
  script: string
  args: readonly string[]
  /** Tokens that serve once: more arguments for a round, by how many rounds and requests were before it. */
  next?: (rounds: number, requests: number) => readonly string[]
  connections?: number
}

export interface Round {
  /** Microseconds of CPU that the server used a request. */
  cpu: number
  /** Requests a second. */
  throughput: number
  requests: number
}

const TRIES = 3

/**
 * Rounds of load on a server, from core 1. A fast error is no result: a round with any answer but 2xx is run again, for a
 * machine may be elsewhere for longer than the service waits for Redis; and the third fails the bench.
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
      process.stderr.write(`${path} did not answer well:\n${stdout}`)
      if (tries <= 1) throw new Error(`${path} did not answer well`)
      return run(seconds, tries - 1)
    }
    const throughput = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1])
    return { cpu: (used * 1000) / count, throughput, requests: count }
  }
}

const SECONDS = 1
/** The first round, which does not count: the compiler takes longer over a service than over a bare route. */
const WARM_UP = 3

/** Rounds of load on a server that is warm: microseconds of CPU a request. */
export function cpuOf(server: Server, what: Load): () => Promise<number> {
  const run = load(server, what)
  let seconds = WARM_UP
  return async () => {
    const { cpu } = await run(seconds)
    seconds = SECONDS
    return cpu
  }
}
