import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LoginMfa } from '../../schemas/login-mfa.js'
import { proveFactor, type SecondFactorDependencies } from '../grants/second-factor.js'
import { beginSession, requireAnswerable, type SignInDependencies } from '../grants/sign-in.js'
import { refusal } from '../http/errors.js'
import type { LiveTokenDependencies } from './guards/live-token.js'
import { callingClientId } from './requests/session.js'

type Dependencies = LiveTokenDependencies & SignInDependencies & SecondFactorDependencies

/**
 * `POST /login/mfa`: the second step of a sign-in. The `mfa_token` proves the password. It dies with a change of the password,
 * with its account, and with the sign-in that it completes.
 */
export const loginMfa: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  const { users, tickets, audit } = dependencies

  app.post('/login/mfa', { schema: LoginMfa }, async (request, reply) => {
    const { mfa_token: mfaToken, ...presented } = request.body
    const ticket = tickets.read('mfa', mfaToken)
    const clientId = await callingClientId(request, dependencies)
    const user = ticket && (await users.find(ticket.sub))
    const isCurrent = user && !user.disabled && user.passwordVersion === ticket.passwordVersion && user.factors > 0
    // The client that began the sign-in completes it.
    if (!isCurrent || clientId !== ticket.session.clientId) {
      audit(request, { event: 'login.refused', reason: 'mfa_token', sub: ticket?.sub })
      throw refusal.invalidMfaToken()
    }

    requireAnswerable(request, ticket, user, dependencies)
    const proved = await proveFactor(request, user.id, { at: 'sign-in', ticket }, presented, dependencies)
    const amr = ['pwd', ...proved]
    reply.header('cache-control', 'no-store')
    return beginSession(request, user, { ...ticket.session, amr }, dependencies)
  })
}
