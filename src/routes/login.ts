import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Login } from '../../schemas/login.js'
import type { Audit } from '../audit.js'
import { refusal } from '../errors.js'
import type { RefreshTokens } from '../sessions/refresh-token.js'
import { newSid, type SessionStore } from '../sessions/session.js'
import type { AccessTokens } from '../tokens/access-tokens.js'
import type { Users } from '../users/users.js'
import { tokenAnswer } from './token-answer.js'

/** What a person's own sign-in is called where a client id is wanted (RFC 9068 §2.2). */
const FIRST_PARTY = 'latchkey'
/** Scopes that open this service's own doors: for clients alone. */
const RESERVED_SCOPES = new Set(['introspect', 'admin'])

interface Needs {
  users: Users
  sessions: SessionStore
  tokens: AccessTokens
  refreshTokens: RefreshTokens
  audiences: readonly [string, ...string[]]
  audit: Audit
}

/** `POST /login`: a person signs in on a device. */
export const login: FastifyPluginAsyncTypebox<Needs> = async (app, needs) => {
  const { users, sessions, audiences, audit } = needs

  app.post('/login', { schema: Login }, async (request, reply) => {
    const { username, password, scope = '', audience = audiences[0], device_name: deviceName } = request.body
    if (scope.split(' ').some((item) => RESERVED_SCOPES.has(item))) throw refusal.invalidScope()
    if (!audiences.includes(audience)) throw refusal.invalidTarget()

    const signIn = await users.signIn(username, password)
    if (signIn.outcome === 'refused') {
      audit(request, { event: 'login.refused', reason: signIn.reason, sub: signIn.sub })
      throw refusal.signInFailed()
    }
    const { user } = signIn

    const { session, excess } = await sessions.create({
      sid: newSid(),
      sub: user.id,
      username: user.username,
      clientId: FIRST_PARTY,
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
    const sids = await sessions.end(user.id, excess)
    audit(request, { event: 'session.ended', sub: user.id, sids, reason: 'too_many' })

    audit(request, { event: 'login.accepted', sub: user.id, sid: session.sid })
    return reply.header('cache-control', 'no-store').send(tokenAnswer(session, needs))
  })
}
