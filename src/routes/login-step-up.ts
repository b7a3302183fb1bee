import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { StepUp } from '../../schemas/login-step-up.js'
import { proveFactor, type SecondFactorDependencies } from '../grants/second-factor.js'
import type { SignInDependencies } from '../grants/sign-in.js'
import { tokenResponse } from '../grants/token-response.js'
import { refusal } from '../http/errors.js'
import type { Throttle } from '../throttle/throttle.js'
import { type LiveTokenDependencies, refuseExchangedToken, requireLiveToken } from './guards/live-token.js'
import { requireOwnPassword } from './guards/own-password.js'

type Dependencies = LiveTokenDependencies & SignInDependencies & SecondFactorDependencies & { throttle: Throttle }

/**
 * `POST /login/step-up`: a person proves again who they are (RFC 9470). The session stays, and gets new tokens with a new
 * `auth_time`. A token of any audience will do: the service that demands the step-up may be the only audience of the session.
 */
export const stepUp: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  const { sessions, tokenClaims, audit, refreshCookie } = dependencies

  app.post('/login/step-up', { schema: StepUp }, async (request, reply) => {
    const { claims } = await requireLiveToken(request, dependencies)
    const { sub, sid, amr: before = [] } = claims
    if (sid === undefined) throw refusal.invalidToken()
    // The answer has the refresh token of the session: no client gets that for a token that it exchanged.
    refuseExchangedToken(claims)
    const { password, refresh_in: refreshIn, ...presented } = request.body
    refreshCookie.choose(request, refreshIn)
    if (password !== undefined && Object.values(presented).some((value) => value !== undefined)) {
      throw refusal.invalidRequest('send either password or one factor')
    }

    // Read before the proof: when the database is down, no code is used.
    const accountClaims = await tokenClaims.find(sub)
    let amr: string[]
    if (password === undefined) {
      // The session began with a password or a passkey, and the factor adds to that.
      amr = [...new Set([...before, ...(await proveFactor(request, sub, { at: 'step-up' }, presented, dependencies))])]
    } else {
      await requireOwnPassword(request, sub, password, dependencies)
      // Not more than was proved now: otherwise a password would renew the time of a second factor.
      amr = ['pwd']
    }

    const session = await sessions.reauthenticate(sub, sid, amr)
    if (!session) throw refusal.invalidToken()
    audit(request, { event: 'login.stepped_up', sub, sid, amr })
    return reply.header('cache-control', 'no-store').send(tokenResponse({ ...session, accountClaims }, dependencies))
  })
}
