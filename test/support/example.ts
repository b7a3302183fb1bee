import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { eventually } from './eventually.js'
import { freePort } from './servers/ports.js'

const script = fileURLToPath(new URL('../../../examples/todo/dist/example.js', import.meta.url))

/** Runs `npm run example` until it is ready. The end of the test stops it. */
export async function runExample(t: Test, folder: string) {
  const child = spawn(process.execPath, [script], {
    env: { PATH: process.env.PATH, EXAMPLE_DATA: folder, PORT: String(await freePort()) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGTERM'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  await eventually(() => {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the example did not start:\n${output}`)
    return output.includes('Ctrl-C')
  }, 120_000)
  const [page, docs, console] = [...output.matchAll(/http:\/\/localhost:\S+/g)].map(([address]) => address) as [
    string,
    string,
    string,
  ]
  const password = /password +(\S+)/.exec(output)?.[1] ?? ''
  return {
    page,
    docs,
    console,
    operator: { username: 'operator', password },
    /** The client that administers the token service. */
    client: { id: 'example', secret: JSON.parse(readFileSync(`${folder}/secrets.json`, 'utf8')).client as string },
    /** As Ctrl-C does. Returns the exit code and the signal. */
    async stop() {
      const exited = once(child, 'exit')
      child.kill('SIGINT')
      return exited
    },
  }
}
