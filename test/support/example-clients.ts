import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { CLIENT } from './service.js'

const EXAMPLES = fileURLToPath(new URL('../../../examples/verify/', import.meta.url))

export type Language = 'python' | 'go'
export const languages: readonly Language[] = ['python', 'go']

/** The commands of the examples: one checks a token with Redis, one follows the service. */
export function exampleCommand(language: Language, what: 'redis' | 'follow'): string[] {
  if (language === 'python') {
    // Debian's Python, because Debian's `cryptography` is for it alone.
    return ['/usr/bin/python3', `${EXAMPLES}python/latchkey_${what === 'redis' ? 'verify' : 'follow'}.py`]
  }
  goBinary ??= buildGo()
  return [goBinary]
}

/** Built once: a build stops the test process for a second, and with it the servers of tests that run at the same time. */
let goBinary: string | undefined

function buildGo(): string {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-go-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  execFileSync('go', ['build', '-o', join(folder, 'verify'), '.'], { cwd: `${EXAMPLES}go` })
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
  if (first !== 'ready') throw new Error(`the example did not become ready: ${first}`)
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
