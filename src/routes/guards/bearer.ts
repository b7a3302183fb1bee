import type { FastifyRequest } from 'fastify'
import { refusal } from '../../http/errors.js'
import { countHeader } from '../../http/headers.js'
import { looksLikeRefreshToken } from '../../sessions/refresh-token.js'

/**
 * The bearer token of a request (RFC 6750 §2.1), or undefined. The scheme's name may have any case (RFC 9110 §11.1). One space
 * and one token follow it. Two spaces, two tokens and a list are not valid.
 */
export function bearerToken({ headers, raw: { rawHeaders } }: FastifyRequest): string | undefined {
  const token = /^bearer ([\w.~+/-]+=*)$/i.exec(headers.authorization ?? '')?.[1]
  // Node keeps the first of two headers. Caddy and HAProxy pass both on, and the application behind them may read the second.
  // That application would then use a token that nobody checked.
  return token !== undefined && countHeader(rawHeaders, 'authorization') === 1 ? token : undefined
}

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
