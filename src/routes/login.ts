import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import type { FastifyRequest } from 'fastify'
import { Login } from '../../schemas/login.js'
import type { Audit } from '../audit.js'
import { RESERVED_SCOPES } from '../clients/clients.js'
import { requestedAudience } from '../grants/requested-audience.js'
import { tokenResponse } from '../grants/token-response.js'
import { refusal } from '../http/errors.js'
import { parseScope } from '../scope.js'
import type { RefreshTokens } from '../sessions/refresh-token.js'
import { newSid, type Session } from '../sessions/session.js'
import type { AttemptResult, Throttle } from '../throttle/throttle.js'
import type { PasswordHashing } from '../users/password-hashing.js'
import { usernameKey } from '../users/username.js'
import type { SignIn, User, Users } from '../users/users.js'
import { authenticateClient, presentsClient } from './guards/client.js'
import { refuseIgnoredLimits } from './guards/ignored-limits.js'
import type { LiveTokenDependencies } from './guards/live-token.js'

interface Dependencies extends LiveTokenDependencies {
  users: Users
  hashing: PasswordHashing
  throttle: Throttle
  refreshTokens: RefreshTokens
  audit: Audit
}

/**
 * `POST /login`: a person signs in on a device. When a client authenticates itself in the request, the session belongs to
 * that client, and no other client can refresh it.
 */
export const login: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  const { users, hashing, throttle, sessions, audit } = dependencies
  const { audiences } = dependencies.tokens

  app.post('/login', { schema: Login }, async (request, reply) => {
    refuseIgnoredLimits(request)
    const { username, password, scope = '', device_name: deviceName = null } = request.body
    const audience = requestedAudience(request.body) ?? audiences[0]
    if (parseScope(scope).some((item) => RESERVED_SCOPES.has(item))) {
      throw refusal.invalidScope('scope has introspect or admin: only clients may have these scopes')
    }
    if (!audiences.includes(audience)) throw refusal.invalidTarget()
    const clientId = presentsClient(request)
      ? (await authenticateClient(request, dependencies)).id
      : FIRST_PARTY_CLIENT_ID

    const signIn = await checkPassword(request, username, password)
    if (signIn.outcome === 'refused') {
      audit(request, { event: 'login.refused', reason: signIn.reason, sub: signIn.sub })
      throw refusal.signInFailed()
    }

    const session = await createSession(request, signIn.user, { clientId, scope, audience, deviceName })
    audit(request, { event: 'login.accepted', sub: session.sub, sid: session.sid })
    return reply.header('cache-control', 'no-store').send(tokenResponse(session, dependencies))
  })

  async function checkPassword(request: FastifyRequest, username: string, password: string): Promise<SignIn> {
    const slot = await hashing.acquire(request.ip)
    try {
      const candidate = await users.findCandidate(username)
      const { sub } = candidate
      const account = sub === undefined ? { unknownUsername: usernameKey(username) } : { sub }
      const attempt = await throttle.begin({ account, at: 'sign-in', address: request.ip })
      if ('wait' in attempt) {
        audit(request, { event: 'login.refused', reason: 'throttled', sub })
        throw refusal.tooManyAttempts(attempt.wait)
      }
      let result: AttemptResult = 'not_compared'
      try {
        const signIn = await users.signIn(candidate, password, slot)
        result = signIn.outcome === 'accepted' ? 'success' : 'failure'
        return signIn
      } finally {
        await throttle.finish(attempt, result)
      }
    } catch (error) {
      slot.noteFailure(error)
      throw error
    } finally {
      slot.release()
    }
  }

  async function createSession(
    request: FastifyRequest,
    user: User,
    grant: Pick<Session, 'clientId' | 'scope' | 'audience' | 'deviceName'>,
  ): Promise<Session> {
    const { session, excess } = await sessions.create({
      ...grant,
      sid: newSid(),
      sub: user.id,
      username: user.username,
      roles: user.roles,
      ip: request.ip,
      userAgent: request.headers['user-agent']?.slice(0, 256) ?? null,
    })
    // Somebody may have disabled the account or changed its password since this request read the account. That change ended the
    // sessions of that moment, and this session may have come just after.
    if (!(await users.isCurrent(user))) {
      const sids = await sessions.revoke(user.id, [session.sid])
      audit(request, { event: 'session.ended', sub: user.id, sids, reason: 'user_changed_during_login' })
      throw refusal.signInFailed()
    }
    if (excess.length > 0) {
      const sids = await sessions.revoke(user.id, excess)
      audit(request, { event: 'session.ended', sub: user.id, sids, reason: 'too_many' })
    }
    return session
  }
}
