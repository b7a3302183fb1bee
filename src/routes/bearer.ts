import type { AccessTokenClaims } from '@latchkey/verifier/access-token'
import type { FastifyRequest } from 'fastify'
import { refusal } from '../errors.js'
import type { SessionStore } from '../sessions/session.js'
import type { AccessTokens } from '../tokens/access-tokens.js'

/**
 * The bearer token of a request (RFC 6750 §2.1), or undefined. The scheme's name is read in any case, as RFC 9110 §11.1
 * has it; then one space and one token: two spaces, two tokens or a list are no token.
 */
export function bearerToken({ headers }: FastifyRequest): string | undefined {
  return /^bearer ([\w.~+/-]+=*)$/i.exec(headers.authorization ?? '')?.[1]
}

/**
 * Guard: the claims of a live access token, or 401. What is wrong with it is nobody's business but ours.
 * A route that also takes a body sets `attachValidation`, so that who calls is asked before what they sent.
 */
export async function requireLiveToken(
  request: FastifyRequest,
  { tokens, sessions }: { tokens: AccessTokens; sessions: SessionStore },
): Promise<AccessTokenClaims> {
  const token = bearerToken(request)
  if (token === undefined) throw request.headers.authorization ? refusal.invalidToken() : refusal.missingToken()
  const { claims } = tokens.check(token)
  if (!claims) throw refusal.invalidToken()
  if ((await sessions.holder(claims.sub, claims.sid)) === undefined) throw refusal.invalidToken()
  return claims
}

/** Guard: the body and the query passed their schema. */
export function requireValid({ validationError }: FastifyRequest): void {
  if (validationError) throw validationError
}

/**
 * The one token, of whatever kind, that a request presents: as the bearer token or in the body. Both are tolerated when
 * they are the same. Undefined where there is none; `malformed` where an Authorization header holds something else.
 */
export function presentedToken(
  request: FastifyRequest,
  inBody: string | undefined,
  malformed: () => Error = refusal.invalidToken,
): string | undefined {
  const { authorization } = request.headers
  if (authorization === undefined) return inBody
  const bearer = bearerToken(request)
  if (bearer === undefined) throw malformed()
  if (inBody !== undefined && inBody !== bearer) {
    throw refusal.invalidRequest('the bearer token and the one in the body differ: send one')
  }
  return bearer
}
