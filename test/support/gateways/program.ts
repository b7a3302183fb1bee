import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import type { Test } from 'tap'
import { eventually } from '../eventually.js'
import { killGroup } from '../process-group.js'
import { gatewayProgram } from '../servers/install.js'
import { temporaryFolder } from '../service.js'

const EXAMPLES = new URL('../../../../examples/gateways/', import.meta.url)

export function exampleUrl(file: string): URL {
  return new URL(file, EXAMPLES)
}

/**
 * The configuration of an example with the addresses of the test. Everything else stays, so that the test runs what users copy.
 */
export function exampleConfiguration(file: string, replacements: Record<string, string>): string {
  let text = readFileSync(exampleUrl(file), 'utf8')
  for (const [theirs, ours] of Object.entries(replacements)) {
    if (!text.includes(theirs)) throw new Error(`${file} does not say ${theirs}`)
    text = text.replaceAll(theirs, ours)
  }
  return text
}

/** A folder that a gateway can read after it drops root. */
export function gatewayFolder(t: Test): string {
  const folder = temporaryFolder(t)
  chmodSync(folder, 0o755)
  return folder
}

export interface RunningProgram {
  /** The whole output so far. */
  output(): string
}

/** Starts the program of a gateway and waits until it listens. The end of the test stops it. */
export async function startProgram(
  t: Test,
  program: string,
  args: string[],
  { port, env = {} }: { port: number; env?: Record<string, string> },
): Promise<RunningProgram> {
  const child = spawn(gatewayProgram(program), args, {
    // Its own process group: the workers end with their parent.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, ...env },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  const exited = once(child, 'exit')
  t.teardown(async () => {
    // A gateway hides the failure of Latchkey behind its own status. Its log has the cause.
    if (!t.passing()) t.comment(output)
    // First its own shutdown, because Apache otherwise leaves semaphores behind. Then everything that remains.
    child.kill('SIGTERM')
    await Promise.race([exited, new Promise((resolve) => setTimeout(resolve, 3000).unref())])
    killGroup(child)
  })
  await eventually(async () => {
    if (child.exitCode !== null) throw new Error(`${program} did not start:\n${output}`)
    return accepts(port)
  })
  return { output: () => output }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}
