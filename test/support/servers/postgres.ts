import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { openReadyDatabase } from '../ready-database.js'
import { postgresProgram } from './install.js'
import { freePort } from './ports.js'

export interface PostgresServer {
  /** `postgres://…/postgres` */
  url: string
  port: number
  /** The folder of its data. */
  directory: string
  /** Makes a standby the primary. */
  promote(): void
  stop(): void
}

const NOT_DURABLE = ' -c fsync=off -c synchronous_commit=off -c full_page_writes=off'

/**
 * A durable server waits for the disk at each commit, as in production. Only a test that kills the server needs this.
 */
interface PostgresOptions {
  durable?: boolean
  /** The server that this one follows, read-only. */
  standbyOf?: PostgresServer
}

/** Starts a Postgres on a free port. Its data is in a folder that `stop` deletes. */
export async function startPostgres({ durable = true, standbyOf }: PostgresOptions = {}): Promise<PostgresServer> {
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-postgres-'))
  const identity = serverIdentity()
  if (identity) chownSync(directory, identity.uid, identity.gid)
  const run = (program: string, ...args: string[]) =>
    execFileSync(postgresProgram(program), args, {
      stdio: ['ignore', 'ignore', 'inherit'],
      cwd: directory,
      ...identity,
    })

  const data = join(directory, 'data')
  const port = await freePort()
  if (standbyOf) {
    const primary = `host=127.0.0.1 port=${standbyOf.port} user=latchkey`
    run('pg_basebackup', '-D', data, '-d', primary, '--write-recovery-conf', '--checkpoint=fast', '--no-sync')
  } else {
    run('initdb', '-D', data, '-U', 'latchkey', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync')
  }
  run(
    'pg_ctl',
    '-D',
    data,
    '-w',
    '-l',
    join(directory, 'log'),
    '-o',
    `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200${durable ? '' : NOT_DURABLE}`,
    'start',
  )
  let isRunning = true
  return {
    url: `postgres://latchkey@127.0.0.1:${port}/postgres`,
    port,
    directory: data,
    promote: () => run('pg_ctl', '-D', data, '-w', 'promote'),
    stop() {
      if (!isRunning) return
      isRunning = false
      run('pg_ctl', '-D', data, '-m', 'immediate', 'stop')
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** Postgres and PgBouncer refuse to run as root. */
export function serverIdentity(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

/** A database with all tables. Databases for tests are copies of it, because to migrate each one takes more of the CPU. */
const TEMPLATE = 'latchkey_template'

/** Creates the template of the databases for tests. @param server `postgres://…/postgres` */
export async function createPostgresTemplate(server: string): Promise<void> {
  await execute(server, `CREATE DATABASE ${TEMPLATE}`)
  const database = await openReadyDatabase(urlOf(server, TEMPLATE))
  await database.close()
}

const urlOf = (server: string, name: string) => server.replace(/\/postgres$/, `/${name}`)

/** Creates a database on the Postgres that `npm test` started. */
export async function createPostgresDatabase(
  content: 'empty' | 'migrated' = 'empty',
): Promise<{ url: string; drop(): Promise<void> }> {
  const server = process.env.LATCHKEY_TEST_POSTGRES
  if (!server) throw new Error('run the tests by `npm test`: it starts the Postgres that they use')
  const name = `test_${randomBytes(6).toString('hex')}`
  const template = content === 'migrated' ? `TEMPLATE ${TEMPLATE}` : ''
  // Without a durable server, this strategy costs half of the other one.
  await execute(server, `CREATE DATABASE ${name} ${template} STRATEGY FILE_COPY`)
  return {
    url: urlOf(server, name),
    drop: () => execute(server, `DROP DATABASE ${name} WITH (FORCE)`),
  }
}

/** Executes a statement on a connection of its own. */
export async function execute(server: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  await client.query(statement)
  await client.end()
}
