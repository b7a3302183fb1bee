import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import type { Command, CommandResult } from './latchkey.js'

// Runs commands of the command line, one after the other, in this process: a start of Node costs more CPU than most
// commands. Each command has its own arguments, environment and streams, as in a process of its own.

const program = new URL('../../src/cli/main.js', import.meta.url)
process.stdout.setMaxListeners(0)
let runs = 0

process.on('disconnect', () => process.exit())
process.on('message', async ({ args, env, stdin }: Command) => {
  process.argv.splice(2, Number.POSITIVE_INFINITY, ...args)
  for (const name of Object.keys(process.env)) delete process.env[name]
  Object.assign(process.env, env)
  process.exitCode = 0
  const input = Readable.from(stdin.length === 0 ? [] : [Buffer.from(stdin)])
  Object.defineProperty(process, 'stdin', { value: input, configurable: true })
  const [stdout, stderr] = [capture(process.stdout), capture(process.stderr)]
  const before = openResources()
  runs += 1
  await import(`${program.href}?run=${runs}`)
  // A command must close what it opened. Otherwise its own process would not end.
  while (openResources() > before) await setImmediate()
  const result: Omit<CommandResult, 'json'> = {
    code: Number(process.exitCode),
    stdout: stdout.join(''),
    stderr: stderr.join(''),
  }
  process.exitCode = 0
  process.send?.(result)
})

function capture(stream: NodeJS.WriteStream): string[] {
  const chunks: string[] = []
  stream.write = (chunk: string | Uint8Array) => chunks.push(String(chunk)) > 0
  return chunks
}

/** The number of open sockets, timers and files, which keep a process alive. */
function openResources(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind !== 'Immediate' && !/Req(Wrap)?$/.test(kind)).length
}
