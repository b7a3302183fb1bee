import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Server } from './server.js'

export interface Load {
  path: string
  /** In bench/wrk. */
  script: string
  args: string[]
  connections?: number
}

export interface Round {
  /** Microseconds of CPU that the server used a request. */
  cpu: number
  /** Requests a second. */
  throughput: number
  requests: number
}

/** One round of load on a server, from core 1. A fast error is no result: any answer but 2xx fails the bench. */
export async function round(
  server: Server,
  { path, script, args, connections = 50 }: Load,
  seconds: number,
): Promise<Round> {
  const lua = fileURLToPath(new URL(`../../bench/wrk/${script}`, import.meta.url))
  const before = server.cpu()
  const { stdout } = await promisify(execFile)('taskset', [
    '-c',
    '1',
    'wrk',
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '-s',
    lua,
    server.url + path,
    '--',
    ...args,
  ])
  const used = server.cpu() - before
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`${path} did not answer well:\n${stdout}`)
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1])
  return { cpu: (used * 1000) / requests, throughput: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]), requests }
}

export interface Summary {
  median: number
  low: number
  high: number
}

export function summarise(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b)
  return {
    median: sorted[Math.floor(sorted.length / 2)] as number,
    low: sorted[0] as number,
    high: sorted.at(-1) as number,
  }
}
