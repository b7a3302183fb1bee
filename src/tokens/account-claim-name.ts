/** A claim that an account has besides its name, its id and its roles. */
export type AccountClaims = Readonly<Record<string, string | number | boolean>>

/**
 * Names with a meaning in a token (RFC 7519 §4.1, RFC 9068 §2.2, RFC 8693, RFC 9470, OpenID Connect) or in an answer of the
 * introspection (RFC 7662 §2.2). An account that could have such a claim could pass for another account, or for a stronger
 * sign-in. The last two names change an object's prototype.
 */
const RESERVED = new Set([
  ...['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'sid', 'client_id', 'scope', 'roles'],
  ...['act', 'may_act', 'cnf', 'azp', 'auth_time', 'acr', 'amr', 'nonce', 'at_hash', 'c_hash', 's_hash', 'sub_jwk'],
  ...['active', 'username', 'token_type', 'authorization_details', 'events', 'txn', 'toe', 'vot', 'vtm'],
  ...['constructor', 'prototype'],
])
/** A name begins with a letter: an object would move a name of digits to the front. */
const NAME = /^[A-Za-z][\w.:/#-]{0,63}$/

export const CLAIM_NAME_RULE =
  'a claim name has 1 to 64 letters, digits and _ . : / # -, begins with a letter, and is not a name that tokens use, such as sub or roles'

export const isAccountClaimName = (name: string): boolean => NAME.test(name) && !RESERVED.has(name)
