import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './ports.js'
import { readUntil } from './read-until.js'

export interface RedisServer {
  url: string
  port: number
  process: ChildProcess
  /** Sends SIGKILL, because a lost server says nothing. */
  stop(): Promise<void>
}

interface RedisOptions {
  port?: number
  args?: string[]
  /**
   * Makes it a node of a cluster, with this port for the other nodes. By itself Redis would take its port + 10,000, which an
   * outgoing connection may have.
   */
  busPort?: number
  /** The path of a configuration file. */
  config?: string
  /** The log text that says that the server is ready. */
  ready?: string
}

/** Starts a Redis on a free port or on this port. It writes nothing to disk unless `args` say so. */
export async function startRedis({
  port,
  args = [],
  busPort,
  config,
  ready = 'Ready to accept connections',
}: RedisOptions = {}): Promise<RedisServer> {
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-redis-'))
  const chosen = port ?? (await freePort())
  const server = spawn(
    // Valkey, in the place of Redis.
    process.env.LATCHKEY_TEST_REDIS ?? 'redis-server',
    [
      ...(config ? [config] : []),
      '--port',
      String(chosen),
      '--bind',
      '127.0.0.1',
      ...(config ? [] : ['--save', '']),
      '--dir',
      directory,
      ...(busPort === undefined ? [] : ['--cluster-enabled', 'yes', '--cluster-port', String(busPort)]),
      ...args,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await readUntil(server.stdout, ready)
  return {
    url: `redis://127.0.0.1:${chosen}`,
    port: chosen,
    process: server,
    async stop() {
      if (server.exitCode === null && server.signalCode === null) {
        const exited = once(server, 'exit')
        server.kill('SIGKILL')
        await exited
      }
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
