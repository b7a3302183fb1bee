import type pg from 'pg'

/** Milliseconds for the question whether a new connection may write. A host in the same network answers in a few. */
const QUESTION_TIMEOUT = 200

type Pool = Pick<pg.Pool, 'connect' | 'end'>

/**
 * Connections to the host that takes writes (libpq's `target_session_attrs=read-write`). The hosts are asked together, because
 * a host that does not answer would otherwise use up the time limit of a connection. The host that was the primary last is
 * asked alone, until a connection to it fails.
 *
 * @param open opens the pool of one host, with what the pool must check
 */
export function openPrimaryPool(
  urls: readonly string[],
  open: (index: number, check: Pick<pg.PoolConfig, 'verify'>) => Pool,
): Pool {
  const pools = urls.map((_, index) => open(index, { verify: refuseStandby }))
  let primary: Pool | undefined

  async function connectToAny(): Promise<pg.PoolClient> {
    let isFound = false
    const attempts = pools.map(async (pool) => {
      const client = await pool.connect()
      // Another host has answered before.
      if (isFound) client.release()
      else {
        isFound = true
        primary = pool
      }
      return client
    })
    return Promise.any(attempts)
  }

  async function connect(): Promise<pg.PoolClient> {
    const asked = primary
    if (!asked) return connectToAny()
    try {
      return await asked.connect()
    } catch (error) {
      if (primary === asked) primary = undefined
      throw error
    }
  }
  return {
    connect: connect as Pool['connect'],
    end: (async () => void (await Promise.all(pools.map((pool) => pool.end())))) as Pool['end'],
  }
}

/** A standby, and a server whose transactions are read-only, answer `on`. */
function refuseStandby(client: pg.PoolClient, done: (error?: Error) => void): void {
  const question = { text: 'SHOW transaction_read_only', query_timeout: QUESTION_TIMEOUT }
  client.query<{ transaction_read_only: string }>(question).then(
    ({ rows }) => {
      const { host, port } = client as unknown as { host: string; port: number }
      const isReadOnly = rows[0]?.transaction_read_only === 'on'
      done(isReadOnly ? new Error(`${host}:${port} is a standby, or read-only`) : undefined)
    },
    (error) => done(error),
  )
}
