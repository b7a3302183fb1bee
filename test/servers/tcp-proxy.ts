import { createServer, connect as dial, type Socket } from 'node:net'

/** A wire between a client and a server on loopback that can be cut. */
export interface TcpProxy {
  port: number
  /** Bytes that clients have sent so far. */
  readonly sent: number
  /** Breaks every connection, and each new one, until `restore`. */
  cut(): void
  /** From now on nothing arrives at either end of any connection, and nobody is told: half-open, for good. */
  blackhole(): void
  /** Holds what the server says, until `restore` lets it through, late. */
  hold(): void
  restore(): void
  stop(): Promise<void>
}

export async function startTcpProxy(target: number): Promise<TcpProxy> {
  let state: 'through' | 'cut' | 'blackhole' | 'hold' = 'through'
  let sent = 0
  const wires = new Set<{ client: Socket; server: Socket; isDead: boolean; held: Buffer[] }>()

  const listener = createServer((client) => {
    if (state === 'cut') return void client.destroy()
    const server = dial(target, '127.0.0.1')
    const wire = { client, server, isDead: state === 'blackhole', held: [] as Buffer[] }
    wires.add(wire)
    client.on('data', (data) => {
      sent += data.length
      if (!wire.isDead) server.write(data)
    })
    server.on('data', (data) => {
      if (wire.isDead) return
      if (state === 'hold') wire.held.push(data)
      else client.write(data)
    })
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => {})
      one.on('close', () => {
        if (wire.isDead) return
        other.destroy()
        wires.delete(wire)
      })
    }
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const destroyAll = () => {
    for (const { client, server } of wires) {
      client.destroy()
      server.destroy()
    }
    wires.clear()
  }
  return {
    port: (listener.address() as { port: number }).port,
    get sent() {
      return sent
    },
    cut() {
      state = 'cut'
      destroyAll()
    },
    blackhole() {
      state = 'blackhole'
      for (const wire of wires) wire.isDead = true
    },
    hold() {
      state = 'hold'
    },
    restore() {
      state = 'through'
      for (const { client, held } of wires) for (const data of held.splice(0)) client.write(data)
    },
    async stop() {
      destroyAll()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}
