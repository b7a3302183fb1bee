import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * Linux gives the ports from 32768 on to outgoing connections and to servers without a fixed port, so another process could
 * take such a port before our server does.
 */
const [FIRST, END] = [10_000, 32_768]

/**
 * The range has so many blocks. The runner gives each of the files that run at the same time a block of its own. Otherwise one
 * file could take a port that another file has chosen, or that a server of another file left for a restart.
 */
export const PORT_BLOCKS = 16
const BLOCK_SIZE = Math.floor((END - FIRST) / PORT_BLOCKS)
const block = process.env.LATCHKEY_TEST_PORT_BLOCK
const from = FIRST + Number(block ?? 0) * BLOCK_SIZE
const size = block === undefined ? END - FIRST : BLOCK_SIZE
/** The latest ports. A server that was stopped may start again on its port. */
const given = new Set<number>()

/** A free port that this process has not chosen lately. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = from + randomInt(size)
    if (given.has(port)) continue
    given.add(port)
    const [oldest = port] = given
    if (given.size > size / 2) given.delete(oldest)
    const server = createServer()
    try {
      await once(server.listen(port, '127.0.0.1'), 'listening')
      await once(server.close(), 'close')
      return port
    } catch {
      // The port is taken: try the next one.
    }
  }
}
