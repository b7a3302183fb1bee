import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { CLIENT } from './service.js'

const EXAMPLES = fileURLToPath(new URL('../../../examples/verify/', import.meta.url))

export type Language = 'python' | 'go'
export const languages: readonly Language[] = ['python', 'go']

/** The commands of the examples: one checks a token with Redis, one follows the service. */
export async function exampleCommand(language: Language, what: 'redis' | 'follow'): Promise<string[]> {
  if (language === 'python') {
    // Debian's Python, because Debian's `cryptography` is for it alone.
    return ['/usr/bin/python3', `${EXAMPLES}python/latchkey_${what === 'redis' ? 'verify' : 'follow'}.py`]
  }
  goBinary ??= buildGo()
  return [await goBinary]
}

/** Built once, for all tests of the process. */
let goBinary: Promise<string> | undefined

async function buildGo(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-go-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  await promisify(execFile)('go', ['build', '-o', join(folder, 'verify'), '.'], { cwd: `${EXAMPLES}go` })
  return join(folder, 'verify')
}

export interface ExampleClient {
  /** The first word of the answer (`good`, `refused`, `unavailable`) or the whole answer. */
  verdict(token: string): Promise<string>
  answer(token: string): Promise<string>
  pause(): void
  resume(): void
}

/** Starts an example that follows the service at this URL. Returns when it is ready. */
export async function startExampleClient(
  t: Test,
  [program = '', ...args]: string[],
  env: Record<string, string>,
): Promise<ExampleClient> {
  // A client that cannot read the feed within 5 s ends. A supervisor starts it again, and so does this function.
  for (let tries = 1; ; tries += 1) {
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: {
        PYTHONDONTWRITEBYTECODE: '1',
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        CLIENT_ID: CLIENT.id,
        CLIENT_SECRET: CLIENT.secret,
        ...env,
      },
    })
    t.teardown(() => child.kill('SIGKILL'))
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const next = async () => String((await lines.next()).value)
    const first = await next()
    if (first === 'ready') return answersOf(child, next)
    if (tries === 5) throw new Error(`the example did not become ready: ${first}`)
  }
}

function answersOf(child: ChildProcessByStdio<Writable, Readable, null>, next: () => Promise<string>): ExampleClient {
  let last: Promise<unknown> = Promise.resolve()
  const answer = (token: string) => {
    child.stdin.write(`${token}\n`)
    const line = last.then(next)
    last = line
    return line
  }
  return {
    answer,
    verdict: async (token) => (await answer(token)).replace(/[ :].*/, ''),
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
  }
}
