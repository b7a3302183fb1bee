import type { FastifyRequest } from 'fastify'
import type { Audit } from '../audit.js'
import { refusal } from '../http/errors.js'
import type { RefreshTokens } from '../sessions/refresh-token.js'
import type { SessionStore } from '../sessions/session.js'
import type { AccessTokens } from '../tokens/access-tokens.js'

export interface RevocationDependencies {
  sessions: SessionStore
  tokens: AccessTokens
  refreshTokens: RefreshTokens
  audit: Audit
}

/**
 * How far in the future a revocation of a client's own tokens may lie, in seconds. The feed keeps an entry for a minute longer
 * than a token lives. With a limit above that minute, followers would forget the revocation while the token lives.
 */
const MAX_REVOCATION_AHEAD = 30

/**
 * Ends the grant behind a token, whatever the token's time and audience (RFC 7009 §2.1). For a person this is the session. For
 * a client this is every token of its own up to the `iat` of this one. Every other token has nothing to end.
 *
 * @returns false when no key here can check a token that names this issuer: nothing was ended
 */
export async function revokeByToken(
  request: FastifyRequest,
  token: string,
  { sessions, tokens, refreshTokens, audit }: RevocationDependencies,
): Promise<boolean> {
  const read = refreshTokens.readForRevocation(token) ?? tokens.readForRevocation(token)
  if (read === undefined) return true
  if (read === 'unknown_key') return false
  const { sub, sid, iat = 0 }: { sub: string; sid?: string; iat?: number } = read
  if (sid !== undefined) {
    const sids = await sessions.revoke(sub, [sid])
    audit(request, { event: 'session.ended', sub, sids, reason: 'logout' })
    return true
  }
  // A client gets no token that is older than its revocation, so a far revocation would lock the client out until then. A
  // token from further ahead is not valid yet, and can be revoked later.
  if (iat > Date.now() / 1000 + MAX_REVOCATION_AHEAD) throw refusal.unavailable()
  const isNew = await sessions.revokeClient(sub, iat)
  if (isNew) audit(request, { event: 'client.tokens_revoked', sub, nbf: iat })
  return true
}
