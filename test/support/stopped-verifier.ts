import { existsSync, writeFileSync } from 'node:fs'
import { createVerifier } from '@latchkey/verifier'
import { verdict } from './verifier-setup.js'

// A service that verifies, as a process of its own, so that it can be stopped. Its options are its argument.
const verifier = createVerifier(JSON.parse(process.argv[2] as string))

/**
 * What is asked of it: the verdict on a token. With `until`, nothing else runs here from soon on until that file is there. It
 * says so by a file of that name and `.blocked`.
 */
export interface Question {
  token: string
  until?: string
}
export interface Verdict {
  verdict: string
  /** Milliseconds. */
  took: number
}

process.on('message', async ({ token, until }: Question) => {
  const began = performance.now()
  const answer = verdict(verifier, token)
  // The question has left by then.
  if (until) setTimeout(() => block(until), 20)
  process.send?.({ verdict: await answer, took: performance.now() - began } satisfies Verdict)
})
process.on('disconnect', () => process.exit())

function block(file: string): void {
  writeFileSync(`${file}.blocked`, '')
  const cell = new Int32Array(new SharedArrayBuffer(4))
  while (!existsSync(file)) Atomics.wait(cell, 0, 0, 5)
}
