import { connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** Passes on every connection to this address, like a pod of the service. `stop` ends all of them. */
export async function startForwarder(
  t: Test,
  host: string,
  port: number,
  target: string,
): Promise<{ stop(): Promise<void> }> {
  const { hostname, port: targetPort } = new URL(`http://${target}`)
  const sockets = new Set<Socket>()
  const server = createServer((incoming) => {
    const outgoing = connect(Number(targetPort), hostname)
    for (const socket of [incoming, outgoing]) sockets.add(socket.on('error', () => {}))
    incoming.pipe(outgoing).pipe(incoming)
  })
  await new Promise<void>((resolve) => server.listen(port, host, resolve))
  const stop = () =>
    new Promise<void>((resolve) => {
      for (const socket of sockets) socket.destroy()
      server.close(() => resolve())
    })
  t.teardown(stop)
  return { stop }
}
