import { createServer, connect as dial, type Socket } from 'node:net'

/** A TCP proxy between a client and a server on loopback, which can fail in several ways. */
export interface TcpProxy {
  port: number
  /** How many bytes clients have sent so far. */
  readonly sent: number
  /** Breaks every open and every new connection until `restore`. */
  cut(): void
  /** From now on no byte arrives at either end of any open connection, and no end notices: a half-open connection. */
  blackhole(): void
  /** Delays the server's bytes by this many milliseconds. */
  delay(milliseconds: number): void
  /** Holds the server's bytes back until `release`. */
  hold(): void
  release(): void
  /** How many bytes are held back now. */
  readonly held: number
  /** Breaks each connection after this many more bytes of the server. */
  cutAfter(bytes: number): void
  /** Answers each Redis command with this text instead of the server. */
  answer(text: string): void
  restore(): void
  /** Leads new connections to another server. */
  retarget(port: number): void
  stop(): Promise<void>
}

export async function startTcpProxy(target: number): Promise<TcpProxy> {
  let state: 'through' | 'cut' | 'blackhole' = 'through'
  let left = Number.POSITIVE_INFINITY
  let reply: string | undefined
  let lateness = 0
  let kept: { client: Socket; data: Buffer }[] | undefined
  let port = target
  let sent = 0
  const wires = new Set<{ client: Socket; server: Socket; isDead: boolean }>()

  const listener = createServer((client) => {
    if (state === 'cut') return void client.destroy()
    const server = dial(port, '127.0.0.1')
    const wire = { client, server, isDead: state === 'blackhole' }
    wires.add(wire)
    client.on('data', (data) => {
      sent += data.length
      if (wire.isDead) return
      if (reply === undefined) return void server.write(data)
      const commands = String(data).match(/\*\d+\r\n\$/g) ?? []
      client.write(reply.repeat(commands.length))
    })
    server.on('data', (data) => {
      if (wire.isDead) return
      if (data.length >= left) return void client.write(data.subarray(0, left), () => client.destroy())
      if (kept) kept.push({ client, data })
      else if (lateness === 0) client.write(data)
      else setTimeout(() => wire.isDead || client.write(data), lateness)
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
    delay(milliseconds) {
      lateness = milliseconds
    },
    hold() {
      kept = []
    },
    release() {
      for (const { client, data } of kept ?? []) client.write(data)
      kept = undefined
    },
    get held() {
      return (kept ?? []).reduce((sum, { data }) => sum + data.length, 0)
    },
    cutAfter(bytes) {
      left = bytes
    },
    answer(text) {
      reply = text
    },
    restore() {
      state = 'through'
      left = Number.POSITIVE_INFINITY
      reply = undefined
    },
    retarget(other) {
      port = other
    },
    async stop() {
      destroyAll()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}
