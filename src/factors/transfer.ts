import type { Database } from '../database/database.js'
import { type Kysely, sql } from '../database/kysely.js'
import type { FactorRow, RecoveryCodeRow, Tables } from '../database/schema.js'
import { Unavailable } from '../unavailable.js'
import { toUnixSeconds } from '../unix-seconds.js'
import { MAX_PASSKEYS } from './factor.js'
import { totpContext } from './factors.js'
import { RECOVERY_CODES } from './recovery-codes.js'
import type { Sealing } from './sealing.js'

/** A confirmed factor in the line of an export. Times are Unix seconds. */
type ExportedFactor = {
  id: string
  name: string | null
  created_at: number
  last_used_at: number | null
} & (
  | {
      type: 'totp'
      /** As the database has it, sealed under DATA_SECRET for this account and this id. */
      sealed_secret: string
      /** The time step of the last code that was used: no code is good again in the other database. */
      last_step: number
    }
  | {
      type: 'passkey'
      credential_id: string
      public_key: string
      counter: number
      transports: readonly string[]
      synced: boolean
    }
)

/** What the line of an account with second factors has in addition. */
export interface ExportedFactors {
  factors: ExportedFactor[]
  /** The hashes of the codes that were not used. */
  recovery_codes: string[]
}

/** The factors of these accounts, in the same order from every database. Accounts without a factor are missing. */
export async function exportFactors(
  { db }: Database,
  subs: readonly string[],
): Promise<ReadonlyMap<string, ExportedFactors>> {
  if (subs.length === 0) return new Map()
  const [factors, codes] = await Promise.all([
    db.selectFrom('factors').selectAll().where('sub', 'in', subs).where('confirmed_at', 'is not', null).execute(),
    db.selectFrom('recovery_codes').selectAll().where('sub', 'in', subs).execute(),
  ])
  const exported = new Map<string, ExportedFactors>()
  for (const row of factors) {
    const account = exported.get(row.sub) ?? { factors: [], recovery_codes: [] }
    account.factors.push(toExported(row))
    exported.set(row.sub, account)
  }
  for (const { sub, hash } of codes) exported.get(sub)?.recovery_codes.push(hash)
  // Each database has its own order of texts.
  for (const account of exported.values()) {
    account.factors.sort((a, b) => (a.id < b.id ? -1 : 1))
    account.recovery_codes.sort()
  }
  return exported
}

function toExported(row: FactorRow): ExportedFactor {
  const { id, name, secret, counter } = row
  const used = row.last_used_at
  const common = {
    id,
    name,
    created_at: toUnixSeconds(row.created_at),
    last_used_at: used === null ? null : toUnixSeconds(used),
  }
  if (row.type === 'totp') return { type: 'totp', ...common, sealed_secret: secret, last_step: counter }
  const { transports, isSynced: synced } = JSON.parse(row.details ?? '{}')
  const credentialId = row.credential_id ?? ''
  return { type: 'passkey', ...common, credential_id: credentialId, public_key: secret, counter, transports, synced }
}

/** The rows of an account that an import brings. */
export interface ImportedFactors {
  factors: FactorRow[]
  recoveryCodes: RecoveryCodeRow[]
}

/**
 * Reads the factors in the line of an account. Secrets of TOTP are opened, and sealed with the first secret of DATA_SECRET.
 *
 * @param sealing undefined: DATA_SECRET is not set
 * @returns the rows, or the reason why the line is refused
 */
export function readImportedFactors(
  line: unknown,
  sub: string,
  sealing: Sealing | undefined,
): ImportedFactors | string {
  const { id, factors = [], recovery_codes: codes = [] } = line as Record<string, unknown>
  if (!Array.isArray(factors) || !Array.isArray(codes)) return 'factors and recovery_codes must be lists'
  if (factors.length === 0)
    return codes.length === 0 ? { factors: [], recoveryCodes: [] } : 'recovery_codes need factors'
  // A secret of TOTP opens for its account only.
  if (id === undefined) return 'factors need the id of the account'
  const rows: FactorRow[] = []
  for (const factor of factors) {
    const row = toRow(factor, sub)
    if (!row) return 'factors: one is not as users export writes it'
    if (row.type === 'totp') {
      const resealed = reseal(row, sealing)
      if (resealed === undefined) return UNOPENED
      row.secret = resealed
    }
    rows.push(row)
  }
  const isUnique = (values: readonly unknown[]) => new Set(values).size === values.length
  if (!isUnique(rows.map((row) => row.id))) return 'factors: two have the same id'
  if (rows.filter(({ type }) => type === 'totp').length > 1) return 'factors: an account has one totp at most'
  if (rows.length > MAX_PASSKEYS + 1) return `factors: an account has ${MAX_PASSKEYS} passkeys at most`
  if (codes.length > RECOVERY_CODES || !codes.every((code) => isText(code, /^[\w-]{43}$/)) || !isUnique(codes)) {
    return `recovery_codes must be at most ${RECOVERY_CODES} different hashes, as users export writes them`
  }
  return { factors: rows, recoveryCodes: codes.map((hash) => ({ sub, hash })) }
}

const UNOPENED =
  'its TOTP secret does not open: set DATA_SECRET as the old service has it, or to NEW,OLD, or import --without-factors'

function reseal(row: FactorRow, sealing: Sealing | undefined): string | undefined {
  if (!sealing) return undefined
  const context = totpContext(row)
  try {
    const secret = sealing.open(row.secret, context)
    return sealing.isCurrent(row.secret) ? row.secret : sealing.seal(secret, context)
  } catch (error) {
    if (error instanceof Unavailable) return undefined
    throw error
  }
}

const isText = (value: unknown, pattern: RegExp): value is string => typeof value === 'string' && pattern.test(value)
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function toRow(value: unknown, sub: string): FactorRow | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const factor = value as Record<string, unknown>
  const { id, name, created_at: created, last_used_at: used, type } = factor
  if (!isText(id, /^[\w-]{1,64}$/) || !isCount(created) || !(used === null || isCount(used))) return undefined
  if (!(name === null || isText(name, /^\P{Cc}{1,100}$/u))) return undefined
  const common = {
    id,
    sub,
    name,
    created_at: created * 1000,
    confirmed_at: created * 1000,
    last_used_at: used === null ? null : used * 1000,
  }
  const { sealed_secret: sealed, last_step: step } = factor
  if (type === 'totp' && isText(sealed, /^[\w-]{1,512}$/) && isCount(step)) {
    return { ...common, type, secret: sealed, counter: step, credential_id: null, details: null }
  }
  const { credential_id: credentialId, public_key: publicKey, counter, transports, synced } = factor
  const isPasskey =
    type === 'passkey' &&
    isText(credentialId, /^[\w-]{1,1400}$/) &&
    isText(publicKey, /^[\w-]{1,4096}$/) &&
    isCount(counter) &&
    typeof synced === 'boolean' &&
    Array.isArray(transports) &&
    transports.length <= 8 &&
    transports.every((transport) => isText(transport, /^[a-z-]{1,20}$/))
  if (!isPasskey) return undefined
  const details = JSON.stringify({ transports, isSynced: synced })
  return { ...common, type, secret: publicKey, counter, credential_id: credentialId, details }
}

/** The accounts of this batch with a factor or a passkey that another account has. */
export async function findTakenFactors(
  { db }: Database,
  batch: readonly ImportedFactors[],
): Promise<ReadonlySet<string>> {
  const rows = batch.flatMap(({ factors }) => factors)
  if (rows.length === 0) return new Set()
  const credentialIds = rows.flatMap(({ credential_id: id }) => id ?? [])
  const existing = await db
    .selectFrom('factors')
    .select(['id', 'sub', 'credential_id'])
    .where((where) =>
      where.or([
        where(
          'id',
          'in',
          rows.map(({ id }) => id),
        ),
        ...(credentialIds.length > 0 ? [where('credential_id', 'in', credentialIds)] : []),
      ]),
    )
    .execute()
  const owners = new Map(existing.flatMap(({ id, sub, credential_id: passkey }) => keysOf(id, passkey, sub)))
  const taken = new Set<string>()
  for (const { id, sub, credential_id: passkey } of rows) {
    for (const [key, owner] of keysOf(id, passkey, sub)) {
      const known = owners.get(key) ?? owner
      if (known !== sub) taken.add(sub)
      else owners.set(key, sub)
    }
  }
  return taken
}

const keysOf = (id: string, passkey: string | null, sub: string): [string, string][] => [
  [`id ${id}`, sub],
  ...(passkey === null ? [] : ([[`passkey ${passkey}`, sub]] as [string, string][])),
]

/** Adds the factors of accounts that the same transaction added. */
export async function insertFactors(
  transaction: Kysely<Tables>,
  batch: readonly ImportedFactors[],
  added: ReadonlySet<string>,
): Promise<void> {
  // Of two lines with one id, the first one added the account.
  const bySub = new Map(batch.toReversed().map((each) => [each.factors[0]?.sub ?? '', each]))
  const chosen = [...bySub].filter(([sub]) => added.has(sub)).map(([, each]) => each)
  const factors = chosen.flatMap((each) => each.factors)
  const codes = chosen.flatMap((each) => each.recoveryCodes)
  // SQLite takes at most 32766 values in one statement.
  for (const rows of inParts(factors)) await transaction.insertInto('factors').values(rows).execute()
  for (const rows of inParts(codes)) await transaction.insertInto('recovery_codes').values(rows).execute()
  if (factors.length === 0) return
  await transaction
    .updateTable('users')
    .set({ factors: sql<number>`(SELECT count(*) FROM factors WHERE factors.sub = users.id)` })
    .where('id', 'in', [...new Set(factors.map(({ sub }) => sub))])
    .execute()
}

function* inParts<Row>(rows: readonly Row[]): Generator<readonly Row[]> {
  for (let from = 0; from < rows.length; from += 1000) yield rows.slice(from, from + 1000)
}
