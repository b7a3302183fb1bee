import type { Database } from '../database/database.js'
import type { AccountClaims } from '../tokens/account-claim-name.js'
import { fromColumn } from './account-claims.js'

/** An account as a line of an import has it. */
export interface ExportedAccount {
  id: string
  username: string
  password_hash: string
  roles: string[]
  disabled: boolean
  /** Unix seconds. */
  created_at: number
  claims?: AccountClaims
  /** Second factors are not exported, so an account that has some must not sign in with its password alone. */
  mfa_required?: true
}

/** The accounts after this id. Ids never change, so an account that is renamed meanwhile is neither lost nor exported twice. */
export async function exportAccounts(
  { db }: Database,
  { limit, after }: { limit: number; after: string },
): Promise<ExportedAccount[]> {
  const rows = await db.selectFrom('users').selectAll().where('id', '>', after).orderBy('id').limit(limit).execute()
  return rows.map((row) => ({
    id: row.id,
    username: row.username,
    password_hash: row.password_hash,
    roles: JSON.parse(row.roles),
    disabled: row.disabled_at !== null,
    created_at: Math.floor(row.created_at / 1000),
    ...(row.claims !== null && { claims: fromColumn(row.claims) }),
    ...((row.mfa_required === 1 || row.factors > 0) && { mfa_required: true as const }),
  }))
}
