const PRIVATE_AUTHORITY = 'name the authority with sslrootcert=PATH, or skip the check with sslmode=no-verify'

/** What an operator can do about an error of Postgres or of its connection, by its code. */
const HINTS: Readonly<Record<string, string>> = {
  // insufficient_privilege
  '42501':
    'run GRANT USAGE, CREATE ON SCHEMA public TO the role of DATABASE_URL, or make the role the owner of the database',
  // invalid_schema_name
  '3F000': 'create the schema, or name another with options=-c%20search_path%3DSCHEMA in DATABASE_URL',
  DEPTH_ZERO_SELF_SIGNED_CERT: PRIVATE_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: PRIVATE_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: PRIVATE_AUTHORITY,
}

/** Empty if there is nothing to add to the message. */
export function hintFor({ code, message }: Error & { code?: string }): string {
  const hint = /unsupported startup parameter/.test(message)
    ? 'set ignore_startup_parameters = statement_timeout in pgbouncer.ini'
    : code !== undefined && Object.hasOwn(HINTS, code)
      ? HINTS[code]
      : undefined
  return hint === undefined ? '' : ` (${hint})`
}
