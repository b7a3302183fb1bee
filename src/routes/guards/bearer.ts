import { soleBearerToken } from '@latchkey/verifier/access-token'
import type { FastifyRequest } from 'fastify'
import { refusal } from '../../http/errors.js'
import { looksLikeRefreshToken } from '../../sessions/refresh-token.js'

/** The bearer token of a request, or undefined: see {@link soleBearerToken}. */
export const bearerToken = ({ headers, raw }: FastifyRequest): string | undefined =>
  soleBearerToken(headers.authorization ?? '', raw.rawHeaders)

/**
 * The access or refresh token that a request presents, as the bearer token or in the body; otherwise undefined. Both may
 * appear when they are equal.
 *
 * @param refuse creates the error for an `Authorization` header without a bearer token
 */
export function presentedToken(
  request: FastifyRequest,
  inBody: string | undefined,
  refuse = refusal.invalidToken,
): string | undefined {
  const { authorization } = request.headers
  if (authorization === undefined) return inBody
  const bearer = bearerToken(request)
  if (bearer === undefined) throw refuse()
  if (inBody !== undefined && inBody !== bearer) {
    throw refusal.invalidRequest('the bearer token and the token in the body differ: send one of them')
  }
  return bearer
}

/**
 * The refresh token that a request presents. Interceptors in pages send their access token with every request, and it has
 * often expired. It is ignored where the refresh token is in the body or in the cookie.
 */
export function presentedRefreshToken(request: FastifyRequest, elsewhere: string | undefined): string | undefined {
  const bearer = bearerToken(request)
  const isOther = bearer !== undefined && !looksLikeRefreshToken(bearer)
  return elsewhere !== undefined && isOther ? elsewhere : presentedToken(request, elsewhere, refusal.invalidGrant)
}
