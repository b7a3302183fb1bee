import type { UserRow } from '../database/schema.js'
import type { AccountClaims } from '../tokens/account-claim-name.js'
import { fromColumn } from './account-claims.js'

export interface User {
  id: string
  username: string
  roles: string[]
  disabled: boolean
  /** Changes with each change of the password. */
  passwordVersion: number
  /** Unix milliseconds. */
  createdAt: number
  /** The number of factors besides the password. */
  factors: number
  /** Changes with each change of the factors, and of `mfaRequired`. */
  factorsVersion: number
  /** The account must sign in with two factors, whatever `MFA` says. */
  mfaRequired: boolean
  claims: AccountClaims
}

export interface NewUser {
  username: string
  password: string
  /** Without an id, the account gets a UUID. */
  id?: string | undefined
  roles?: readonly string[]
  claims?: AccountClaims
}

export function toUser(row: UserRow): User {
  return {
    id: row.id,
    username: row.username,
    roles: JSON.parse(row.roles),
    disabled: row.disabled_at !== null,
    passwordVersion: row.password_version,
    createdAt: row.created_at,
    factors: row.factors,
    factorsVersion: row.factors_version,
    mfaRequired: row.mfa_required === 1,
    claims: fromColumn(row.claims),
  }
}
