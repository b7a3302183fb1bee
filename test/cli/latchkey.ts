import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Environment } from '../service.js'

export interface Ran {
  code: number | null
  stdout: string
  stderr: string
  /** What it printed, parsed; undefined where it is no JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  json: any
}

const PROGRAM = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))

/** Runs the real program, as its name on the PATH would. */
export async function latchkey(args: string[], env: Environment = {}, stdin = ''): Promise<Ran> {
  const child = spawn(PROGRAM, args, { env: { PATH: process.env.PATH, ...env } })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  // One that does not read its standard input may be gone before it is written.
  child.stdin.on('error', () => {}).end(stdin)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve)
  })
  return { code, stdout, stderr, json: parse(stdout) }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
