import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { LoginPasskey, PasskeyOptions } from '../../schemas/login-passkey.js'
import { passkeyMethod, type SecondFactorDependencies } from '../grants/second-factor.js'
import { beginSession, type SignInDependencies } from '../grants/sign-in.js'
import { refusal } from '../http/errors.js'
import { refuseIgnoredLimits } from './guards/ignored-limits.js'
import { type LiveTokenDependencies, refuseExchangedToken, requireLiveToken } from './guards/live-token.js'
import { readSessionRequest } from './requests/session.js'

type Dependencies = LiveTokenDependencies & SignInDependencies & SecondFactorDependencies

/** `POST /login/passkey/options`, `POST /login/passkey`: a person signs in with a passkey alone. */
export const loginPasskey: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  const { users, passkeyCeremonies, tickets, audit } = dependencies

  app.post('/login/passkey/options', { schema: PasskeyOptions }, async (request, reply) => {
    const sub = await namedAccount(request, request.body.mfa_token)
    reply.header('cache-control', 'no-store')
    return passkeyCeremonies.authenticationOptions(sub)
  })

  app.post('/login/passkey', { schema: LoginPasskey }, async (request, reply) => {
    refuseIgnoredLimits(request)
    const session = await readSessionRequest(request, request.body, dependencies)

    const { passkey } = request.body
    // Read the account first. If somebody removes the passkey after this line, `beginSession` sees that the account changed since,
    // and ends the session.
    const owner = await passkeyCeremonies.findOwner(passkey)
    const user = owner === undefined ? undefined : await users.find(owner)
    const proof = await passkeyCeremonies.authenticate(passkey, undefined)
    if (!proof.isValid || !user || proof.passkey.sub !== user.id || user.disabled) {
      const sub = proof.isValid ? proof.passkey.sub : proof.sub
      audit(request, { event: 'factor.refused', reason: proof.fault ?? 'disabled', sub, type: 'passkey' })
      audit(request, { event: 'login.refused', reason: 'passkey', sub })
      throw refusal.invalidPasskey()
    }
    audit(request, { event: 'factor.used', sub: user.id, type: 'passkey' })
    reply.header('cache-control', 'no-store')
    // The authenticator verified the person, by a PIN or a fingerprint: two factors in one.
    const amr = [passkeyMethod(proof.passkey), 'mfa']
    return beginSession(request, user, { ...session, amr }, dependencies)
  })

  /** The account whose passkeys are asked for: of a sign-in after its password, or of a session that steps up. */
  async function namedAccount(request: FastifyRequest, mfaToken: string | undefined): Promise<string | undefined> {
    if (mfaToken !== undefined) {
      const ticket = tickets.read('mfa', mfaToken)
      if (!ticket) throw refusal.invalidMfaToken()
      return ticket.sub
    }
    if (request.headers.authorization === undefined) return undefined
    const { claims } = await requireLiveToken(request, dependencies)
    if (claims.sid === undefined) throw refusal.invalidToken()
    refuseExchangedToken(claims)
    return claims.sub
  }
}
