import type { FastifyRequest } from 'fastify'
import { refusal } from '../errors.js'

/**
 * The bearer token of a request (RFC 6750 §2.1), or undefined. The scheme's name is read in any case, as RFC 9110 §11.1
 * has it; then one space and one token: two spaces, two tokens or a list are no token.
 */
export function bearerToken({ headers, raw }: FastifyRequest): string | undefined {
  const token = /^bearer ([\w.~+/-]+=*)$/i.exec(headers.authorization ?? '')?.[1]
  return token !== undefined && isGivenOnce('authorization', raw.rawHeaders) ? token : undefined
}

/**
 * Of two Authorization headers Node keeps the first. Caddy and HAProxy pass both on, and the application behind them may
 * read the other: then it would act on a token that was never looked at.
 */
function isGivenOnce(name: string, rawHeaders: readonly string[]): boolean {
  let count = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() === name) count += 1
  }
  return count === 1
}

/**
 * The one token, of whatever kind, that a request presents: as the bearer token or in the body. Both are tolerated when
 * they are the same. Undefined where there is none.
 */
export function presentedToken(request: FastifyRequest, inBody: string | undefined): string | undefined {
  const { authorization } = request.headers
  if (authorization === undefined) return inBody
  const bearer = bearerToken(request)
  if (bearer === undefined) throw refusal.invalidToken()
  if (inBody !== undefined && inBody !== bearer) {
    throw refusal.invalidRequest('the bearer token and the one in the body differ: send one')
  }
  return bearer
}

/** Guard: the body and the query passed their schema, for routes that ask first who calls. */
export function requireValid({ validationError }: FastifyRequest): void {
  if (validationError) throw validationError
}
