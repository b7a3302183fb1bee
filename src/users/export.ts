import type { Database } from '../database/database.js'
import type { AccountClaims } from '../tokens/account-claim-name.js'
import { toUnixSeconds } from '../unix-seconds.js'
import { fromColumn } from './account-claims.js'

/** An account as a line of an import has it. */
interface ExportedAccount {
  id: string
  username: string
  password_hash: string
  roles: string[]
  disabled: boolean
  /** Unix seconds. */
  created_at: number
  claims?: AccountClaims
  mfa_required?: true
  /** Counts the passwords. Recovery tokens name it, so a token that was used stays used in the other database. */
  password_version?: number
}

export interface ExportPage {
  accounts: ExportedAccount[]
  /** The ids of those accounts that have second factors. */
  withFactors: string[]
}

/** The accounts after this id. Ids never change, so an account that is renamed meanwhile is neither lost nor exported twice. */
export async function exportAccounts(
  { db }: Database,
  { limit, after }: { limit: number; after: string },
): Promise<ExportPage> {
  const rows = await db.selectFrom('users').selectAll().where('id', '>', after).orderBy('id').limit(limit).execute()
  const accounts = rows.map((row) => ({
    id: row.id,
    username: row.username,
    password_hash: row.password_hash,
    roles: JSON.parse(row.roles),
    disabled: row.disabled_at !== null,
    created_at: toUnixSeconds(row.created_at),
    ...(row.claims !== null && { claims: fromColumn(row.claims) }),
    ...(row.mfa_required === 1 && { mfa_required: true as const }),
    ...(row.password_version > 1 && { password_version: row.password_version }),
  }))
  return { accounts, withFactors: rows.filter(({ factors }) => factors > 0).map(({ id }) => id) }
}
