import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { locate } from './install.js'
import { freePort } from './ports.js'
import { serverIdentity } from './postgres.js'
import { readUntil } from './read-until.js'

/** Few enough that sessions of the service must share them. */
const SERVER_CONNECTIONS = 3

/** Starts a PgBouncer in transaction mode before a Postgres. Returns the port, and what stops it. */
export async function startPgbouncer(postgresPort: number): Promise<{ port: number; stop(): Promise<void> }> {
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-pgbouncer-'))
  const port = await freePort()
  const [settings, users] = [join(directory, 'pgbouncer.ini'), join(directory, 'users.txt')]
  writeFileSync(users, '"latchkey" ""\n')
  writeFileSync(
    settings,
    `[databases]
* = host=127.0.0.1 port=${postgresPort}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${users}
pool_mode = transaction
default_pool_size = ${SERVER_CONNECTIONS}
`,
  )
  const identity = serverIdentity()
  if (identity) for (const path of [directory, settings, users]) chownSync(path, identity.uid, identity.gid)
  const program = locate('pgbouncer', ['/usr/sbin'])
  if (!program) throw new Error('pgbouncer is not installed')
  const server = spawn(program, [settings], { stdio: ['ignore', 'ignore', 'pipe'], cwd: directory, ...identity })
  // PgBouncer writes its log there.
  await readUntil(server.stderr, 'process up')
  return {
    port,
    async stop() {
      const exited = once(server, 'exit')
      server.kill('SIGKILL')
      await exited
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
