import { type AccessTokenClaims, type AuthenticationDemand, meetsAuthentication } from '@latchkey/verifier/access-token'
import type { FastifyRequest, preValidationHookHandler } from 'fastify'
import type { Audit } from '../../audit.js'
import { hasClientAssertion, hasPostedCredentials } from '../../clients/client-authentication.js'
import { mustHaveFactor } from '../../grants/second-factor.js'
import { refusal } from '../../http/errors.js'
import { parseScope } from '../../scope.js'
import { ADMIN_ROLE } from '../../users/role.js'
import type { Users } from '../../users/users.js'
import { bearerToken } from './bearer.js'
import type { Person } from './caller.js'
import { requireClient } from './client.js'
import { findLiveToken, type LiveTokenDependencies, refuseExchangedToken } from './live-token.js'

export interface AdministratorDependencies extends LiveTokenDependencies {
  users: Users
  audit: Audit
  mfa: 'optional' | 'required'
}

/** Seconds. An older sign-in may read. It changes nothing. */
const MAX_AGE_OF_A_CHANGE = 3600

/**
 * `preValidation` hook: an administrator calls. That is a client with the scope `admin`, or a person with the role
 * `latchkey-admin` in a session that was opened with the scope `admin`. Otherwise the answer is 401 or 403.
 *
 * The scope is there because services receive the tokens of their callers. A person with the role sends ordinary tokens to
 * them. Such a token does not have the scope, so a service that was taken over cannot administrate with it.
 *
 * A shared HS256 secret is not enough to forge the token. `findLiveToken` accepts only claims whose `jti` is a MAC under
 * REFRESH_SECRET, which no other service has. The session must live, and the database must say that the account has the role.
 */
export function requireAdministrator(dependencies: AdministratorDependencies): preValidationHookHandler {
  const requireAdminClient = requireClient('admin', dependencies)
  return function guard(request, reply, done) {
    const claims = administrationClaims(request, dependencies)
    if (!claims) return requireAdminClient.call(this, request, reply, done)
    findAdministrator(request, claims, dependencies).then((person) => {
      request.person = person
      done()
    }, done)
  }
}

/** The claims of a person's token that asks for the scope `admin`. Without such a token the caller is a client, or a stranger. */
function administrationClaims(
  request: FastifyRequest,
  { tokens }: AdministratorDependencies,
): AccessTokenClaims | undefined {
  const token = bearerToken(request)
  const claims = token === undefined ? undefined : tokens.check(token)
  return claims?.sid !== undefined && parseScope(claims.scope).includes('admin') ? claims : undefined
}

async function findAdministrator(
  request: FastifyRequest,
  claims: AccessTokenClaims,
  dependencies: AdministratorDependencies,
): Promise<Person> {
  if (hasClientAssertion(request.body) || hasPostedCredentials(request.body)) {
    throw refusal.invalidRequest("send either a person's token or the credentials of a client")
  }
  const live = await findLiveToken(bearerToken(request) as string, dependencies)
  const { sub, sid } = claims
  if (!live || sid === undefined) throw refusal.invalidToken()
  refuseExchangedToken(claims)
  if (claims.aud !== dependencies.tokens.issuer) throw refusal.wrongAudience([dependencies.tokens.issuer])
  // The token has the roles of the sign-in. The database has those of now, and a session whose role was taken away ends.
  const user = await dependencies.users.find(sub)
  if (!user || user.disabled || !user.roles.includes(ADMIN_ROLE)) throw refusal.invalidToken()
  // A session from before `MFA=required` stays, and may not administrate.
  const needsFactor = user.factors > 0 || mustHaveFactor(user, dependencies.mfa)
  const demand: AuthenticationDemand = {
    ...(needsFactor && { acr: '2' as const }),
    ...(!isRead(request) && { maxAge: MAX_AGE_OF_A_CHANGE }),
  }
  if (!meetsAuthentication(claims, demand, Date.now())) throw refusal.insufficientAuthentication(demand)
  return { sub, sid }
}

const isRead = ({ method }: FastifyRequest): boolean => method === 'GET' || method === 'HEAD'
