import { type AccountClaims, CLAIM_NAME_RULE, isAccountClaimName } from '../tokens/account-claim-name.js'

export type { AccountClaims }

/** Bytes of JSON. Each access token may have all claims of its account, and travels in a header. */
const MAX_SIZE = 1024

/** Reads the claims of an account from a caller's JSON. Returns the claims, or the reason why they are refused. */
export function readAccountClaims(value: unknown): AccountClaims | string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return 'claims must be a JSON object, such as {"tenant":"acme"}'
  }
  for (const [name, claim] of Object.entries(value)) {
    if (!isAccountClaimName(name)) return `claims: ${CLAIM_NAME_RULE}`
    if (!isClaimValue(claim)) {
      return `claims: ${name} must be a text without control characters, a number, true or false`
    }
  }
  if (Buffer.byteLength(JSON.stringify(value)) > MAX_SIZE) return `claims must have at most ${MAX_SIZE} bytes of JSON`
  return value as AccountClaims
}

/** {@link readAccountClaims} of JSON text. */
export function parseAccountClaims(json: string): AccountClaims | string {
  try {
    return readAccountClaims(JSON.parse(json))
  } catch {
    return readAccountClaims(undefined)
  }
}

/** A token is plain JSON: verifiers refuse one with escaped characters. */
function isClaimValue(value: unknown): boolean {
  if (typeof value === 'string') return !/[\p{Cc}\p{Cs}]/u.test(value)
  return typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
}

/** The claims as the database keeps them: null for none. */
export const toColumn = (claims: AccountClaims): string | null =>
  Object.keys(claims).length === 0 ? null : JSON.stringify(claims)

export const fromColumn = (json: string | null): AccountClaims => (json === null ? {} : JSON.parse(json))

/** The account claims that tokens carry: those that ACCOUNT_CLAIMS names. */
export interface TokenClaims {
  readonly names: readonly string[]
  /** Of an account that was just read. */
  select(claims: AccountClaims): AccountClaims | undefined
  /** Reads the account. Answers at once when ACCOUNT_CLAIMS names none, so that a refresh costs no query. */
  find(sub: string): Promise<AccountClaims | undefined> | undefined
}

export function createTokenClaims(
  names: readonly string[],
  { findClaims }: { findClaims(id: string): Promise<AccountClaims | undefined> },
): TokenClaims {
  const select = (claims: AccountClaims): AccountClaims | undefined => {
    const named = names.filter((name) => Object.hasOwn(claims, name))
    return named.length === 0
      ? undefined
      : Object.fromEntries(named.map((name) => [name, claims[name] as AccountClaims[string]]))
  }
  return {
    names,
    select,
    find: (sub) =>
      names.length === 0 ? undefined : findClaims(sub).then((claims) => (claims ? select(claims) : undefined)),
  }
}
