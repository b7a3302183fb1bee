import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LogoutAll } from '../../schemas/logout.js'
import type { Audit } from '../audit.js'
import { refusal } from '../http/errors.js'
import { revokeAllCallerLast } from '../lifecycle/accounts.js'
import type { RefreshTokens } from '../sessions/refresh-token.js'
import { presentedToken } from './guards/bearer.js'
import type { Person } from './guards/caller.js'
import { findLiveToken, type LiveTokenDependencies, requireOwnToken } from './guards/live-token.js'

interface Dependencies extends LiveTokenDependencies {
  refreshTokens: RefreshTokens
  audit: Audit
}

/**
 * `POST /logout-all`: ends every session of the user. A rotated refresh token works too while its session lives. Either its
 * holder missed an answer, or somebody stole it, and then the sessions should end. An access token must be for this service, as
 * at `/sessions`, because other services see access tokens. They never see a refresh token.
 */
export const logoutAll: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  const { sessions, tokens, refreshTokens, audit } = dependencies

  app.post('/logout-all', { schema: LogoutAll }, async (request, reply) => {
    const token = presentedToken(request, request.body.token)
    if (token === undefined) throw refusal.missingToken()
    const person = await findPerson(token)
    if (!person) throw refusal.invalidToken()

    const sids = await revokeAllCallerLast(sessions, person)
    audit(request, { event: 'session.ended', sub: person.sub, sids, reason: 'logout_all' })
    return reply.code(204).send(null)
  })

  /** The person and the living session of a token. */
  async function findPerson(token: string): Promise<Person | undefined> {
    const payload = refreshTokens.read(token)
    if (payload) return (await sessions.findUsername(payload.sub, payload.sid)) === undefined ? undefined : payload
    const live = await findLiveToken(token, dependencies)
    if (live?.claims.sid === undefined) return undefined
    requireOwnToken(live.claims, tokens)
    return { sub: live.claims.sub, sid: live.claims.sid }
  }
}
