import type { UsableTicket } from '../tickets/tickets.js'
import type { StoredPasskey } from './passkeys.js'

export const FACTOR_TYPES = ['totp', 'passkey', 'recovery_code'] as const
/** What a person may send after the password. */
export type FactorType = (typeof FACTOR_TYPES)[number]

/** A confirmed factor, without its secret. Times are Unix milliseconds. */
export interface Factor {
  id: string
  type: 'totp' | 'passkey'
  name: string | null
  createdAt: number
  lastUsedAt: number | undefined
}

/** The most passkeys of one account. */
export const MAX_PASSKEYS = 20

export interface FactorList {
  factors: Factor[]
  /** Recovery codes that were not used yet. */
  recoveryCodes: number
}

/** An account, and the version of its factors that the caller saw. */
interface FactorOwner {
  id: string
  factorsVersion: number
}

/** `conflict`: the factors of the account changed since the caller read the account. Nothing changed now. */
export type FactorChange<Success> =
  | ({ outcome: 'changed' } & Success)
  | { outcome: 'conflict' }
  | { outcome: 'not_found' }
/** Recovery codes come with the first factor only. */
export type AddedFactor = { factor: Factor; recoveryCodes: string[] | undefined }

/** `ticket_used`: the ticket that came with the code was used before, and the code is still good. */
export type CodeOutcome = 'accepted' | 'wrong' | 'ticket_used'

/** A passkey that an account registered. */
export interface OwnedPasskey extends StoredPasskey {
  id: string
  sub: string
}

/**
 * The second factors of accounts. Each change is one transaction, and increments `users.factors_version`. A change that saw
 * an older version gets `conflict`. End the account's sessions after a change: one that begins before it must end too.
 */
export interface Factors {
  /** Whether a person can enrol TOTP. False without DATA_SECRET, which seals its secrets. */
  readonly canEnrolTotp: boolean
  list(sub: string): Promise<FactorList>
  /** The types that the account can use now. */
  types(sub: string): Promise<FactorType[]>
  /** Begins the enrolment of TOTP, in place of an earlier one that was not confirmed. Returns the secret in base32. */
  beginTotp(sub: string): Promise<string>
  /**
   * Confirms the enrolment with a code of it, and replaces an earlier TOTP. `not_found`: the code is wrong, or no enrolment
   * began within 10 minutes.
   */
  confirmTotp(owner: FactorOwner, code: string, name: string | null): Promise<FactorChange<AddedFactor>>
  passkeys(sub: string): Promise<OwnedPasskey[]>
  findPasskey(credentialId: string): Promise<OwnedPasskey | undefined>
  /** `not_found`: an account has this passkey already. */
  addPasskey(owner: FactorOwner, passkey: StoredPasskey, name: string | null): Promise<FactorChange<AddedFactor>>
  /** Removes a factor, and the recovery codes with the last one. */
  remove(owner: FactorOwner, id: string): Promise<FactorChange<object>>
  /** Replaces the recovery codes. */
  renewRecoveryCodes(owner: FactorOwner): Promise<FactorChange<{ recoveryCodes: string[] }>>
  /** Removes every factor and recovery code. Returns whether the account exists. */
  reset(sub: string): Promise<boolean>

  // Each use succeeds exactly once, over all replicas. With a ticket, one transaction uses both the ticket and the code.
  /** A code of TOTP is good once, and ends the codes of earlier steps. */
  useTotp(sub: string, code: string, ticket?: UsableTicket): Promise<CodeOutcome>
  useRecoveryCode(sub: string, code: string, ticket?: UsableTicket): Promise<CodeOutcome>
  /** Records the counter of a verified signature. False: the passkey is gone, or its counter is not higher than before. */
  usePasskey(id: string, counter: number): Promise<boolean>

  /** Seals the TOTP secrets of one page with the first secret of DATA_SECRET. */
  reseal(after: string): Promise<{ last: string | undefined; resealed: number }>
}
