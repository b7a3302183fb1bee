import { createServer, type IncomingMessage, request } from 'node:http'
import type { Test } from 'tap'
import { listen } from '../key-server.js'

/**
 * A gateway of the test's own. It passes each request on to the address that `target` gives for its path. Where `mayAnswer` is
 * false for an answer, the caller does not get it: the gateway closes the connection. Returns the gateway's port on loopback.
 */
export async function startPassingGateway(
  t: Test,
  target: (path: string) => URL,
  mayAnswer: (request: { path: string; headers: IncomingMessage['headers'] }, status: number) => boolean,
): Promise<number> {
  const server = createServer((incoming, outgoing) => {
    const { method, headers, url: path = '' } = incoming
    const passed = request(target(path), { method, headers }, (answer) => {
      const status = answer.statusCode ?? 502
      if (!mayAnswer({ path, headers }, status)) {
        answer.resume()
        outgoing.destroy()
        return
      }
      outgoing.writeHead(status, answer.headers)
      answer.pipe(outgoing)
    })
    // The service may end first, with a request of the verifier still open.
    passed.on('error', () => outgoing.destroy())
    incoming.pipe(passed)
  })
  return listen(t, server)
}
