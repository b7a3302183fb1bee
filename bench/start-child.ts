import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { killOnExit } from './kill-on-exit.js'

/**
 * Starts a script of this folder that answers each line of its input with a line of JSON.
 *
 * @param core the only core that it may use; undefined means every core
 */
export function startChild(script: string, env: Record<string, string>, core?: string) {
  const pinned = core === undefined ? [] : ['taskset', '-c', core]
  const [command = '', ...args] = [...pinned, process.execPath, fileURLToPath(new URL(script, import.meta.url))]
  const child = killOnExit(
    spawn(command, args, { env: { PATH: process.env.PATH, ...env }, stdio: ['pipe', 'pipe', 'inherit'] }),
  )
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    // biome-ignore lint/suspicious/noExplicitAny: each script answers its own JSON
    async ask(line: string): Promise<any> {
      child.stdin.write(`${line}\n`)
      return JSON.parse(String((await lines.next()).value))
    },
    end: () => void child.kill(),
  }
}
