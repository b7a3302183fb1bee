import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { eventually } from './eventually.js'
import { freePort } from './servers/ports.js'
import { CLIENT } from './service.js'

export const SIDECAR = fileURLToPath(new URL('../../../verifier/dist/sidecar/main.js', import.meta.url))

export interface RunningSidecar {
  url: string
  process: ChildProcess
  /** All output so far. */
  output(): string
}

/** Starts the sidecar as its own process, and waits until its output has the text. The end of the test kills it. */
export async function startSidecar(
  t: Test,
  settings: Record<string, string>,
  until: 'listens on' | 'is ready' = 'is ready',
): Promise<RunningSidecar> {
  const port = settings.PORT ?? String(await freePort())
  const env = {
    PATH: process.env.PATH,
    CLIENT_ID: CLIENT.id,
    ...(!settings.CLIENT_SECRET_FILE && !settings.CLIENT_ASSERTION_FILE && { CLIENT_SECRET: CLIENT.secret }),
    PORT: port,
    ...settings,
  }
  const child = spawn(process.execPath, [SIDECAR], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  // Unlike `exit`, this event comes after the last output.
  const closed = once(child, 'close')
  t.teardown(async () => {
    if (!t.passing()) t.comment(output)
    child.kill('SIGKILL')
    await closed
  })
  await eventually(async () => {
    if (child.exitCode !== null || child.signalCode !== null) {
      await closed
      throw new Error(`the sidecar did not start:\n${output}`)
    }
    return output.includes(until)
  })
  return { url: `http://127.0.0.1:${port}`, process: child, output: () => output }
}
