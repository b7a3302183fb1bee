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

/** The sidecar as its own process. It is killed when the test ends. */
export async function startSidecar(t: Test, settings: Record<string, string>): Promise<RunningSidecar> {
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
  t.teardown(async () => {
    if (!t.passing()) t.comment(output)
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  })
  await eventually(() => {
    if (child.exitCode !== null) throw new Error(`the sidecar did not start:\n${output}`)
    return output.includes('is ready')
  })
  return { url: `http://127.0.0.1:${port}`, process: child, output: () => output }
}
