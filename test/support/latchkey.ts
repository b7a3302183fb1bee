import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { wasConnectionLate } from './ready-database.js'
import { startRedis } from './servers/redis.js'
import { type Environment, environment } from './service.js'

export interface CommandResult {
  code: number | null
  stdout: string
  stderr: string
  /** The parsed standard output. Undefined when it is not JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  json: any
}

/** The two combinations of stores that differ for the command line. */
export const storeCombinations = ['sqlite', 'postgres and redis'] as const

/** The settings of a service on its own stores. */
export async function environmentOf(t: Test, setting: (typeof storeCombinations)[number]): Promise<Environment> {
  if (setting === 'sqlite') return environment(t, 'sqlite')
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  return environment(t, 'postgres', { REDIS_URL: redis.url })
}

/** The environment of an operator's shell: the addresses of the stores, and no secret of the service. */
export function operatorEnvironment({ DATABASE_URL, REDIS_URL }: Environment): Environment {
  const shell = { NODE_ENV: 'production', DATABASE_URL: DATABASE_URL as string }
  return REDIS_URL === undefined ? shell : { ...shell, REDIS_URL }
}

export const LATCHKEY_PROGRAM = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))

export interface Command {
  args: string[]
  env: Environment
  stdin: string | Buffer
}

/**
 * Runs a command and returns its result. All commands of a test file share a process, because each start costs CPU. A case
 * about the process itself uses `latchkeyProcess`.
 */
export async function latchkey(...call: Parameters<typeof run>): Promise<CommandResult> {
  const result = await run(...call)
  return wasConnectionLate(result.stderr) ? run(...call) : result
}

function run(args: string[], env: Environment = {}, stdin: string | Buffer = ''): Promise<CommandResult> {
  const result = last.then(async () => {
    runner ??= startRunner()
    runner.ref()
    runner.channel?.ref()
    const answer = once(runner, 'message')
    runner.send({ args, env: { PATH: process.env.PATH, ...env }, stdin } as Command)
    const [message] = (await answer) as [Omit<CommandResult, 'json'>]
    runner.unref()
    runner.channel?.unref()
    return { ...message, json: parse(message.stdout) }
  })
  last = result.catch(() => {})
  return result
}

let runner: ChildProcess | undefined
let last: Promise<unknown> = Promise.resolve()

function startRunner(): ChildProcess {
  const child = fork(fileURLToPath(new URL('./latchkey-runner.js', import.meta.url)), {
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => (output += chunk))
    ;(stream as Socket | null)?.unref()
  }
  child.on('exit', (code) => {
    // The test that waits for an answer fails with this error.
    if (code !== 0) child.emit('error', new Error(`the runner of commands ended with ${code}:\n${output}`))
  })
  return child
}

/** Runs the real program in its own process, as a shell would. */
export async function latchkeyProcess(
  args: string[],
  env: Environment = {},
  stdin: string | Buffer = '',
): Promise<CommandResult> {
  const child = spawn(LATCHKEY_PROGRAM, args, { env: { PATH: process.env.PATH, ...env } })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  // A command that does not read its standard input may end before the write.
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
