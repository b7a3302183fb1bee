import { refusal } from '../../http/errors.js'
import { type AccountClaims, parseAccountClaims, readAccountClaims } from '../../users/account-claims.js'

/** The claims of a body: an object, or its JSON as text, because a form has no objects. */
export function readClaims(given: object | string): AccountClaims {
  const claims = typeof given === 'string' ? parseAccountClaims(given) : readAccountClaims(given)
  if (typeof claims === 'string') throw refusal.invalidRequest(claims)
  return claims
}
