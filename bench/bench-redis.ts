import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { freePort } from '../test/support/servers/ports.js'
import { readUntil } from '../test/support/servers/read-until.js'
import { killOnExit } from './kill-on-exit.js'

export interface BenchRedis {
  url: string
  /** A connection to the current primary. */
  signal(name: NodeJS.Signals): void
  /** Kills Redis and starts it again without data. */
  restartEmpty(): Promise<void>
  /** Kills the primary. Its replica takes over at the same address, as behind a Kubernetes service. */
  failOver(): Promise<void>
  stop(): Promise<void>
}

interface Node {
  port: string
  process: ChildProcess
}

/** One part's Redis: a primary, later a replica for the first failover, and one address for both. */
export async function startRedis(): Promise<BenchRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-bench-'))
  const open = new Set<Socket>()
  const start = async (port: string, ...more: string[]): Promise<Node> => {
    const args = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--dir', folder, ...more]
    const server = killOnExit(spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] }))
    await readUntil(server.stdout, 'Ready to accept connections')
    return { port, process: server }
  }
  const kill = async ({ process }: Node) => {
    const exited = once(process, 'exit')
    process.kill('SIGKILL')
    await exited
  }
  const ports = [String(await freePort()), String(await freePort())] as const
  let primary = await start(ports[0])
  const relay = createServer((client) => {
    const upstream = connect(Number(primary.port), '127.0.0.1')
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.on('close', () => {
        open.delete(socket)
        other.destroy()
      })
      socket.pipe(other)
    }
  }).listen(0, '127.0.0.1')
  await once(relay, 'listening')

  return {
    url: `redis://127.0.0.1:${(relay.address() as AddressInfo).port}`,
    signal: (name) => primary.process.kill(name),
    async restartEmpty() {
      await kill(primary)
      primary = await start(primary.port)
    },
    async failOver() {
      const port = primary.port === ports[0] ? ports[1] : ports[0]
      const replica = await start(port, '--replicaof', '127.0.0.1', primary.port)
      const admin = new Redis(Number(port))
      while (!(await admin.info('replication')).includes('master_link_status:up')) await sleep(20)
      await sleep(2000)
      await kill(primary)
      await admin.replicaof('NO', 'ONE')
      admin.disconnect()
      primary = replica
      for (const socket of open) socket.destroy()
    },
    async stop() {
      relay.close()
      for (const socket of open) socket.destroy()
      await kill(primary)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
