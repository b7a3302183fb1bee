import type { FastifyRequest } from 'fastify'
import type { TokenResponse } from '../../schemas/token-response.js'
import type { Audit } from '../audit.js'
import { refusal } from '../http/errors.js'
import type { RefreshCookie } from '../http/refresh-cookie.js'
import { withoutMapping } from '../network.js'
import { parseScope } from '../scope.js'
import type { RefreshTokens } from '../sessions/refresh-token.js'
import { newSid, type Session, type SessionStore } from '../sessions/session.js'
import type { SignInTicket } from '../tickets/tickets.js'
import type { AccessTokens } from '../tokens/access-tokens.js'
import type { TokenClaims } from '../users/account-claims.js'
import { ADMIN_ROLE } from '../users/role.js'
import type { User, Users } from '../users/users.js'
import { tokenResponse } from './token-response.js'

export interface SignInDependencies {
  users: Users
  sessions: SessionStore
  tokens: AccessTokens
  refreshTokens: RefreshTokens
  tokenClaims: TokenClaims
  refreshCookie: RefreshCookie
  audit: Audit
}

/** @throws 400 if the scope is not for this person, who has proved the password or a passkey */
export function requireGrantedScope(request: FastifyRequest, scope: string, { id, roles }: User, audit: Audit): void {
  if (parseScope(scope).includes('admin') && !roles.includes(ADMIN_ROLE)) {
    // Somebody may be trying stolen passwords: a right one must not go unseen.
    audit(request, { event: 'login.refused', reason: 'scope', sub: id })
    throw refusal.invalidScope(`scope has admin: only an account with the role ${ADMIN_ROLE} may have it`)
  }
}

/**
 * Checks what the answer at the end of a sign-in needs. Call it before the factor is used or added: a refusal afterwards would
 * cost the person a code, or the recovery codes of the new factor.
 *
 * @throws 400
 */
export function requireAnswerable(
  request: FastifyRequest,
  { session, refreshIn }: SignInTicket,
  user: User,
  { refreshCookie, audit }: SignInDependencies,
): void {
  requireGrantedScope(request, session.scope, user, audit)
  refreshCookie.choose(request, refreshIn)
}

/**
 * Begins the session of a person who has proved who they are, and returns its tokens.
 *
 * @param user the account as it was before the proof: the sign-in is refused if it changed since
 */
export async function beginSession(
  request: FastifyRequest,
  user: User,
  grant: Pick<Session, 'clientId' | 'scope' | 'audience' | 'deviceName' | 'amr'>,
  dependencies: SignInDependencies,
): Promise<TokenResponse> {
  const { users, sessions, tokenClaims, audit } = dependencies
  requireGrantedScope(request, grant.scope, user, audit)
  const { session, excess } = await sessions.create({
    ...grant,
    sid: newSid(),
    sub: user.id,
    username: user.username,
    roles: user.roles,
    ip: withoutMapping(request.ip),
    userAgent: request.headers['user-agent']?.slice(0, 256) ?? null,
  })
  // Somebody may have disabled the account or changed its password or its factors since this request read the account. That
  // change ended the sessions of that moment, and this session may have come just after.
  if (!(await users.isCurrent(user))) {
    const sids = await sessions.revoke(user.id, [session.sid])
    audit(request, { event: 'session.ended', sub: user.id, sids, reason: 'user_changed_during_login' })
    // After the password alone, the answer is the same as for a wrong password.
    throw grant.amr.includes('mfa') ? refusal.accountChanged() : refusal.signInFailed()
  }
  if (excess.length > 0) {
    const sids = await sessions.revoke(user.id, excess)
    audit(request, { event: 'session.ended', sub: user.id, sids, reason: 'too_many' })
  }
  audit(request, { event: 'login.accepted', sub: session.sub, sid: session.sid, amr: session.amr })
  return tokenResponse({ ...session, accountClaims: tokenClaims.select(user.claims) }, dependencies)
}
