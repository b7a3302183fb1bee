import type { FastifyRequest } from 'fastify'
import { refusal } from '../../http/errors.js'
import { countHeader } from '../../http/headers.js'

/**
 * The bearer token of a request (RFC 6750 §2.1), or undefined. The scheme's name is read in any case, as RFC 9110 §11.1
 * has it; then one space and one token: two spaces, two tokens or a list are no token.
 */
export function bearerToken({ headers, raw: { rawHeaders } }: FastifyRequest): string | undefined {
  const token = /^bearer ([\w.~+/-]+=*)$/i.exec(headers.authorization ?? '')?.[1]
  // Of two headers Node keeps the first. Caddy and HAProxy pass both on, and the application behind them may read the
  // other: then it would act on a token that was never looked at.
  return token !== undefined && countHeader(rawHeaders, 'authorization') === 1 ? token : undefined
}

/**
 * The one token, of whatever kind, that a request presents: as the bearer token or in the body. Both are tolerated when
 * they are the same. Undefined where there is none. `refuse` makes the refusal of an `Authorization` that is no bearer token.
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
    throw refusal.invalidRequest('the bearer token and the one in the body differ: send one')
  }
  return bearer
}
