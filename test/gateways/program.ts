import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import type { Test } from 'tap'
import { eventually } from '../eventually.js'
import { gatewayProgram } from '../servers/install.js'
import { temporaryFolder } from '../service.js'

const EXAMPLES = new URL('../../../examples/gateways/', import.meta.url)

export function exampleUrl(file: string): URL {
  return new URL(file, EXAMPLES)
}

/** An example's configuration with our addresses in place of its own. The rest is what users copy. */
export function configuration(file: string, replacements: Record<string, string>): string {
  let text = readFileSync(exampleUrl(file), 'utf8')
  for (const [theirs, ours] of Object.entries(replacements)) {
    if (!text.includes(theirs)) throw new Error(`${file} does not say ${theirs}`)
    text = text.replaceAll(theirs, ours)
  }
  return text
}

/** A folder that a gateway may read after it has given up being root. */
export function gatewayFolder(t: Test): string {
  const folder = temporaryFolder(t)
  chmodSync(folder, 0o755)
  return folder
}

export interface Running {
  /** All of its output so far. */
  output(): string
}

/** Starts a gateway's program and waits until it listens. Ends with the test. */
export async function startProgram(
  t: Test,
  program: string,
  args: string[],
  { port, env = {} }: { port: number; env?: Record<string, string> },
): Promise<Running> {
  const child = spawn(gatewayProgram(program), args, {
    // A group of its own: workers end with their master.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, ...env },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  const exited = once(child, 'exit')
  t.teardown(async () => {
    // First as it wants to be ended, for Apache leaves semaphores behind otherwise; then whatever is left.
    child.kill('SIGTERM')
    await Promise.race([exited, new Promise((resolve) => setTimeout(resolve, 3000).unref())])
    try {
      process.kill(-(child.pid ?? 0), 'SIGKILL')
    } catch {
      // They were all gone.
    }
  })
  await eventually(async () => {
    if (child.exitCode !== null) throw new Error(`${program} did not start:\n${output}`)
    return accepts(port)
  }, 20_000)
  return { output: () => output }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}
