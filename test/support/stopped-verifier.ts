import { existsSync, writeFileSync } from 'node:fs'
import { createVerifier } from '@latchkey/verifier'
import { verdictOnce } from './verifier-setup.js'

// A process with a verifier, so that a test can stop it. Its argument holds the options.
const verifier = createVerifier(JSON.parse(process.argv[2] as string))

/**
 * A token to check. With `until`, the event loop is soon blocked until this file exists. A file with this name and
 * `.blocked` reports the block.
 */
export interface VerdictRequest {
  token: string
  until?: string
}
export interface VerdictResponse {
  verdict: string
  /** Milliseconds. */
  took: number
}

process.on('message', async ({ token, until }: VerdictRequest) => {
  const began = performance.now()
  const answer = verdictOnce(verifier, token)
  // The verifier has sent its query by then.
  if (until) setTimeout(() => block(until), 20)
  process.send?.({ verdict: await answer, took: performance.now() - began } satisfies VerdictResponse)
})
process.on('disconnect', () => process.exit())

function block(file: string): void {
  writeFileSync(`${file}.blocked`, '')
  const cell = new Int32Array(new SharedArrayBuffer(4))
  while (!existsSync(file)) Atomics.wait(cell, 0, 0, 5)
}
