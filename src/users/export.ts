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
  }))
}
