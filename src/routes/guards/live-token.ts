import type { AccessTokenClaims } from '@latchkey/verifier/access-token'
import type { FastifyRequest } from 'fastify'
import type { ServiceClients } from '../../clients/open-clients.js'
import { refusal } from '../../http/errors.js'
import type { SessionStore } from '../../sessions/session.js'
import type { AccessTokens } from '../../tokens/access-tokens.js'
import { bearerToken } from './bearer.js'

export interface LiveTokenDependencies {
  tokens: AccessTokens
  sessions: SessionStore
  clients: ServiceClients
}

/** An access token that is valid now. */
interface LiveToken {
  claims: AccessTokenClaims
  /** Undefined for a client's own token. */
  username: string | undefined
}

/**
 * The only place that decides whether an access token is live. This service issued the token, and the token is in its time. For
 * a person, the session exists. For a client's own token, the client exists and nobody revoked the token. Returns undefined
 * for every other token, whatever its fault.
 */
export async function findLiveToken(
  token: string,
  dependencies: LiveTokenDependencies,
): Promise<LiveToken | undefined> {
  const claims = dependencies.tokens.check(token)
  if (!claims) return undefined
  if (claims.sid === undefined) {
    const [client, notBefore] = await Promise.all([
      dependencies.clients.find(claims.sub),
      dependencies.sessions.clientNotBefore(claims.sub),
    ])
    return client && claims.iat > notBefore ? { claims, username: undefined } : undefined
  }
  const username = await dependencies.sessions.findUsername(claims.sub, claims.sid)
  return username === undefined ? undefined : { claims, username }
}

/** Guard: the live bearer token of a request. Otherwise the answer is 401, the same for every fault. */
export async function requireLiveToken(
  request: FastifyRequest,
  dependencies: LiveTokenDependencies,
): Promise<LiveToken> {
  const token = bearerToken(request)
  if (token === undefined) throw request.headers.authorization ? refusal.invalidToken() : refusal.missingToken()
  const live = await findLiveToken(token, dependencies)
  if (!live) throw refusal.invalidToken()
  return live
}

/**
 * `preValidation` hook: a person calls, with a live token for this service. Otherwise the answer is 401. A client's own token
 * does not belong to a person. A service must not act here in the person's name. So a token for another audience opens nothing
 * here, nor does one that a client got by exchange: see {@link requireOwnToken}.
 */
export function requirePerson(dependencies: LiveTokenDependencies): (request: FastifyRequest) => Promise<void> {
  return async (request) => {
    const { claims } = await requireLiveToken(request, dependencies)
    const { sub, sid } = claims
    if (sid === undefined) throw refusal.invalidToken()
    requireOwnToken(claims, dependencies.tokens)
    request.person = { sub, sid }
  }
}

/** Guard: the person holds the token, not a client that acts for them. Otherwise the answer is 401. */
export function refuseExchangedToken({ act }: AccessTokenClaims): void {
  if (act !== undefined) throw refusal.exchangedToken()
}

/**
 * Guard: the token is the person's own, not of a client that acts for them. Its audience is this service, or the default
 * audience, which a sign-in without `audience` gets. A service that receives tokens of the default audience could list and end
 * the sessions of their owners with them, so it must be trusted.
 */
export function requireOwnToken(
  claims: AccessTokenClaims,
  { issuer, audiences: [defaultAudience] }: AccessTokens,
): void {
  refuseExchangedToken(claims)
  const { aud } = claims
  if (aud !== issuer && aud !== defaultAudience) throw refusal.wrongAudience([defaultAudience, issuer])
}
