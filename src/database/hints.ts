const PRIVATE_AUTHORITY = 'name the authority with sslrootcert=PATH, or skip the check with sslmode=no-verify'

/** What an operator can do about an error of the database or of its connection, by its code. */
const HINTS: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: PRIVATE_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: PRIVATE_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: PRIVATE_AUTHORITY,
  SQLITE_BUSY: 'another process writes to the file for longer than a second: try again',
}

/** Empty if there is nothing to add to the message. */
export function hintFor(error: Error): string {
  const errors = error instanceof AggregateError ? error.errors : [error]
  const hint = errors.map(hintForOne).find((each) => each !== undefined)
  return hint === undefined ? '' : ` (${hint})`
}

function hintForOne({ code = '', message }: Error & { code?: string }): string | undefined {
  if (/unsupported startup parameter/.test(message)) return hintForPooler(message)
  if (code === INSUFFICIENT_PRIVILEGE) return hintForRights(message)
  return Object.hasOwn(HINTS, code) ? HINTS[code] : undefined
}

/** PgBouncer and hosted poolers refuse most settings at the start of a connection. */
function hintForPooler(message: string): string {
  return message.includes('statement_timeout')
    ? 'a pooler: add pgbouncer=true to DATABASE_URL, or set ignore_startup_parameters = statement_timeout in pgbouncer.ini'
    : 'a pooler: remove options from DATABASE_URL, and run ALTER ROLE … SET search_path = … in the database'
}

const INSUFFICIENT_PRIVILEGE = '42501'

/** Postgres names the object, such as `permission denied for schema public`. It never names the right. */
function hintForRights(message: string): string {
  const [, kind = '', name = 'public'] = /(schema|table|database) ("?[\w-]+"?)/.exec(message) ?? []
  switch (kind) {
    case 'table':
      return `run GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA of ${name} TO the role of DATABASE_URL`
    case 'database':
      return `run GRANT CONNECT ON DATABASE ${name} TO the role of DATABASE_URL`
    default:
      return `run GRANT USAGE, CREATE ON SCHEMA ${name} TO the role of DATABASE_URL, or make the role the owner of the database`
  }
}
