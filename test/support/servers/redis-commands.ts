import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'

/**
 * Calls `seen` with each command that this Redis runs from now on. ioredis has `monitor`, but it throws if the first command
 * comes in the same chunk as the answer to MONITOR.
 */
export async function watchCommands(t: Test, url: string, seen: (command: string[]) => void): Promise<void> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  t.teardown(() => socket.destroy())
  const lines = createInterface({ input: socket })
  // 1795884917.686135 [0 127.0.0.1:51234] "get" "key"
  lines.on('line', (line) => {
    const words = [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word = '']) => word)
    if (words.length > 0) seen(words)
  })
  socket.write('MONITOR\r\n')
  const [answer] = await once(lines, 'line')
  if (answer !== '+OK') throw new Error(`Redis answered MONITOR with ${answer}`)
}
