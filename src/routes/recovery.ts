import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { CompleteRecovery, RequestRecovery } from '../../schemas/recovery.js'
import type { Audit } from '../audit.js'
import { refusal } from '../http/errors.js'
import type { Tickets } from '../tickets/tickets.js'
import { brokenPasswordRule, passwordRuleText } from '../users/password-rules.js'
import type { Users } from '../users/users.js'
import { callingClient } from './guards/caller.js'
import { requireClient } from './guards/client.js'
import type { LiveTokenDependencies } from './guards/live-token.js'

interface Dependencies extends LiveTokenDependencies {
  users: Users
  tickets: Tickets
  passwordMinLength: number
  audit: Audit
}

/** Seconds. */
const LIFETIME = 15 * 60

/**
 * `POST /recovery`, `POST /recovery/complete`: a person who forgot the password sets another one, with a token that a trusted
 * client delivers. No store holds the token. It names the version of the password, so it dies with the next change: its own.
 */
export const recovery: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  const { users, tickets, sessions, passwordMinLength: minLength, audit } = dependencies
  const preValidation = requireClient('recovery', dependencies)

  app.post('/recovery', { schema: RequestRecovery, preValidation }, async (request, reply) => {
    const { id: by } = callingClient(request)
    reply.header('cache-control', 'no-store')
    const user = await users.findByName(request.body.username)
    if (!user || user.disabled) {
      audit(request, { event: 'recovery.refused', reason: user ? 'disabled' : 'unknown_user', sub: user?.id, by })
      throw refusal.noSuch('account')
    }
    const { id: sub, username, passwordVersion } = user
    audit(request, { event: 'recovery.requested', sub, by })
    return { token: tickets.issue('recovery', { sub, passwordVersion }, LIFETIME), expires_in: LIFETIME, sub, username }
  })

  app.post('/recovery/complete', { schema: CompleteRecovery }, async (request, reply) => {
    const { token, new_password: password } = request.body
    const ticket = tickets.read('recovery', token)
    const user = ticket && (await users.find(ticket.sub))
    if (!user || user.disabled || user.passwordVersion !== ticket.passwordVersion) {
      audit(request, { event: 'recovery.refused', reason: 'token', sub: ticket?.sub })
      throw refusal.invalidRecoveryToken()
    }
    const rule = await brokenPasswordRule(password, { username: user.username, minLength })
    if (rule) throw refusal.invalidRequest(passwordRuleText(rule, minLength))

    // The check of the password may have waited, and another request may have used the token since: then nothing ends here.
    if ((await users.find(user.id))?.passwordVersion === user.passwordVersion) {
      // The token is good once, so a repeated request could not end the sessions. While their store is down, nothing changes.
      await endSessions(request, user.id)
    }
    // Of all requests with tokens of this version, one changes the password.
    if (!(await users.changePassword(user, password, request.ip))) {
      audit(request, { event: 'recovery.refused', reason: 'token', sub: user.id })
      throw refusal.invalidRecoveryToken()
    }
    audit(request, { event: 'recovery.completed', sub: user.id })
    // Somebody may have signed in with the old password in between.
    await endSessions(request, user.id)
    return reply.code(204).send(null)
  })

  async function endSessions(request: FastifyRequest, sub: string): Promise<void> {
    const sids = await sessions.revokeAll(sub)
    audit(request, { event: 'session.ended', sub, sids, reason: 'password_recovered' })
  }
}
