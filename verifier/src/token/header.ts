import { type CompactJws, isCanonicalBase64url, parseCanonical, splitCompact } from './format.js'
import { TokenError } from './token-error.js'

/** The longest accepted token, in characters. */
export const MAX_TOKEN_LENGTH = 8192

// The header may have only these members. So keys that the sender chose (jwk, jku, x5u, x5c), crit, b64 and every future
// member are refused (RFC 8725 §3.10).
const HEADER_MEMBERS = new Set(['alg', 'typ', 'kid'])
const TYPES = new Set(['at+jwt', 'application/at+jwt'])

/** Splits a token into its three parts. @throws TokenError if the token is too long, or not a compact JWS */
export function splitToken(token: string): CompactJws {
  if (token.length > MAX_TOKEN_LENGTH) throw new TokenError('malformed', 'the token is longer than 8192 characters')
  const parts = splitCompact(token)
  if (!parts) throw new TokenError('malformed', 'the token is not a compact JWS')
  // With spare bits that a decoder drops, one signature would have several spellings.
  if (!isCanonicalBase64url(parts.signature)) {
    throw new TokenError('malformed', 'the signature is not canonical base64url')
  }
  return parts
}

/** A header that has no other member than these. */
export interface JwsHeader {
  alg?: unknown
  typ?: unknown
  kid?: unknown
}

/**
 * Parses the header of a token of any type. Checks only its form: canonical base64url, and a JSON object with no other members
 * than `alg`, `typ` and `kid`. The caller must check their values.
 *
 * @throws TokenError if the form is wrong
 */
export function parseJwsHeader(encoded: string): JwsHeader {
  const header = parseCanonical(encoded)
  if (!header) throw new TokenError('malformed', 'the header is not a JSON object in canonical form')
  for (const member of Object.keys(header)) {
    if (!HEADER_MEMBERS.has(member)) {
      throw new TokenError('unsupported_header', 'the header has a member other than alg, typ and kid')
    }
  }
  return header
}

/** Parses the header of an access token. The caller checks `alg` and `kid`. @throws TokenError if another rule is broken */
export function parseHeader(encoded: string): JwsHeader {
  const header = parseJwsHeader(encoded)
  if (typeof header.typ !== 'string' || !TYPES.has(header.typ)) {
    throw new TokenError('unsupported_header', 'typ is not at+jwt')
  }
  return header
}
