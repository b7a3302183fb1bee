import type { AccessTokenClaims } from './claims.js'

/** What a service demands of the last authentication of a person (RFC 9470). */
export interface AuthenticationDemand {
  /** `2`: two factors, or a passkey with user verification. `1`: any authentication of a person. */
  acr?: '1' | '2' | undefined
  /** The person authenticated at most so many seconds ago. */
  maxAge?: number | undefined
}

/**
 * Whether the last authentication of a person meets the demand. A token without the claims, for example a token that a client
 * got for itself, never does.
 *
 * @param now Unix milliseconds
 */
export function meetsAuthentication(
  { acr, auth_time: authTime }: AccessTokenClaims,
  demand: AuthenticationDemand,
  now: number,
): boolean {
  // Each condition is negated, so that a missing or broken number accepts nothing.
  if (demand.acr !== undefined && !(Number(acr) >= Number(demand.acr))) return false
  return demand.maxAge === undefined || now / 1000 - (authTime ?? Number.NaN) <= demand.maxAge
}

/** The parameters of the challenge (RFC 9470 §3), for `WWW-Authenticate`. */
export function authenticationChallenge({ acr, maxAge }: AuthenticationDemand): string {
  const parameters = ['error="insufficient_user_authentication"']
  if (acr !== undefined) parameters.push(`acr_values="${acr}"`)
  if (maxAge !== undefined) parameters.push(`max_age="${maxAge}"`)
  return parameters.join(', ')
}

/** What to do about a token that does not meet the demand. */
export function describeDemand({ acr, maxAge }: AuthenticationDemand): string {
  const parts = [
    acr === '2' ? 'with two factors' : acr === '1' && 'as a person',
    maxAge !== undefined && `at most ${maxAge} s ago`,
  ]
  return `the person must have signed in ${parts.filter(Boolean).join(', ')}: step up, and use the new token`
}

/** @throws TypeError if a demand asks for nothing, or for something that no token can have */
export function requireDemand({ acr, maxAge }: AuthenticationDemand): void {
  if (acr === undefined && maxAge === undefined) throw new TypeError('name acr, maxAge or both')
  if (acr !== undefined && acr !== '1' && acr !== '2') throw new TypeError("acr must be '1' or '2'")
  if (maxAge !== undefined && !(Number.isSafeInteger(maxAge) && maxAge >= 0)) {
    throw new TypeError('maxAge must be a whole number of seconds, 0 or more')
  }
}
