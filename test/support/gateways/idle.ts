import { connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'
import { listen } from '../key-server.js'

export interface IdleLimit {
  /** `127.0.0.1:PORT` */
  address: string
  /** How many requests came on a connection that had been idle for too long. The gateway got no answer. */
  late(): number
  /** How many connections the gateway opened. */
  connections(): number
  /** How many of them are open. */
  open(): number
}

/**
 * Stands before the service and lets a connection be idle for `limit` milliseconds, as the service does for 72 s. A request after
 * that is reset. This is the race that callers see when the service closes a connection under a request.
 */
export async function startIdleLimit(t: Test, target: string, limit: number): Promise<IdleLimit> {
  const { hostname, port } = new URL(`http://${target}`)
  const sockets = new Set<Socket>()
  let late = 0
  let connections = 0
  let open = 0
  const server = createServer((gateway) => {
    connections += 1
    open += 1
    const service = connect(Number(port), hostname)
    let idleSince: number | undefined
    for (const socket of [gateway, service]) sockets.add(socket.on('error', () => {}))
    gateway.on('data', (chunk) => {
      if (idleSince !== undefined && performance.now() - idleSince > limit) {
        late += 1
        gateway.resetAndDestroy()
        return void service.destroy()
      }
      service.write(chunk)
    })
    service.on('data', (chunk) => {
      idleSince = performance.now()
      gateway.write(chunk)
    })
    gateway.on('close', () => {
      open -= 1
      service.destroy()
    })
    service.on('close', () => gateway.destroy())
  })
  const address = `127.0.0.1:${await listen(t, server)}`
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  return {
    address,
    late: () => late,
    connections: () => connections,
    open: () => open,
  }
}
