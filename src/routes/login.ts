import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Login } from '../../schemas/login.js'
import type { Audit } from '../audit.js'
import { RESERVED_SCOPES } from '../clients/clients.js'
import { refusal } from '../errors.js'
import type { RefreshTokens } from '../sessions/refresh-token.js'
import { FIRST_PARTY, newSid } from '../sessions/session.js'
import type { Throttle } from '../throttle/throttle.js'
import { usernameKey } from '../users/username.js'
import type { Users } from '../users/users.js'
import { authenticateClient, presentsClient } from './client.js'
import type { LiveTokenNeeds } from './live-token.js'
import { refuseIgnoredLimits } from './parameters.js'
import { tokenAnswer } from './token-answer.js'

interface Needs extends LiveTokenNeeds {
  users: Users
  throttle: Throttle
  refreshTokens: RefreshTokens
  audit: Audit
}

/**
 * `POST /login`: a person signs in on a device; by way of a client where one authenticates itself, and then the session is
 * that client's: no other can refresh it.
 */
export const login: FastifyPluginAsyncTypebox<Needs> = async (app, needs) => {
  const { users, throttle, sessions, audit } = needs
  const { audiences } = needs.tokens

  app.post('/login', { schema: Login }, async (request, reply) => {
    refuseIgnoredLimits(request)
    const { username, password, scope = '', audience = audiences[0], device_name: deviceName } = request.body
    if (scope.split(' ').some((item) => RESERVED_SCOPES.has(item))) {
      throw refusal.invalidScope('scope asks for introspect or admin, which are for clients alone')
    }
    if (!audiences.includes(audience)) throw refusal.invalidTarget()
    const clientId = presentsClient(request) ? (await authenticateClient(request, needs)).id : FIRST_PARTY

    const address = request.ip
    const tried = await users.signIn(username, password, address, async (sub, check) => {
      const account = sub === undefined ? { unknownUsername: usernameKey(username) } : { sub }
      const who = { account, at: 'sign-in', address } as const
      return { sub, ...(await throttle.attempt(who, check, ({ outcome }) => outcome === 'accepted')) }
    })
    if ('wait' in tried) {
      audit(request, { event: 'login.refused', reason: 'throttled', sub: tried.sub })
      throw refusal.tooManyAttempts(tried.wait)
    }
    const signIn = tried.answer
    if (signIn.outcome === 'refused') {
      audit(request, { event: 'login.refused', reason: signIn.reason, sub: signIn.sub })
      throw refusal.signInFailed()
    }
    const { user } = signIn

    const { session, excess } = await sessions.create({
      sid: newSid(),
      sub: user.id,
      username: user.username,
      clientId,
      scope,
      audience,
      roles: user.roles,
      deviceName: deviceName ?? null,
      ip: request.ip,
      userAgent: request.headers['user-agent']?.slice(0, 256) ?? null,
    })
    // The account may have been disabled, or got a new password, since it was read: whoever did that ended the sessions
    // they saw, and this one may have come just after.
    if (!(await users.isCurrent(user))) {
      const sids = await sessions.end(user.id, [session.sid])
      audit(request, { event: 'session.ended', sub: user.id, sids, reason: 'user_changed_during_login' })
      throw refusal.signInFailed()
    }
    if (excess.length > 0) {
      const sids = await sessions.end(user.id, excess)
      audit(request, { event: 'session.ended', sub: user.id, sids, reason: 'too_many' })
    }

    audit(request, { event: 'login.accepted', sub: user.id, sid: session.sid })
    return reply.header('cache-control', 'no-store').send(tokenAnswer(session, needs))
  })
}
