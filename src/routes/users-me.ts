import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { DeleteAccount } from '../../schemas/users-me.js'
import { deleteAccount as removeAccount } from '../administration/accounts.js'
import { requireValid } from './bearer.js'
import { type LiveTokenNeeds, requirePerson } from './live-token.js'
import { type OwnPasswordNeeds, requireOwnPassword } from './own-password.js'

type Needs = LiveTokenNeeds & OwnPasswordNeeds

/** `DELETE /users/me`: a person deletes their account, and every session of theirs ends. */
export const deleteAccount: FastifyPluginAsyncTypebox<Needs> = async (app, needs) => {
  const { users, sessions, audit } = needs

  app.delete('/users/me', { schema: DeleteAccount, attachValidation: true }, async (request, reply) => {
    const { sub, sid } = await requirePerson(request, needs)
    requireValid(request)
    await requireOwnPassword(request, sub, request.body.password, needs)

    await removeAccount(users, sub, async () => {
      // The session that asks goes last: if Redis is away meanwhile, the person can ask again.
      const others = await sessions.endAll(sub, sid)
      const sids = [...others, ...(await sessions.end(sub, [sid]))]
      audit(request, { event: 'session.ended', sub, sids, reason: 'user_deleted' })
    })
    audit(request, { event: 'user.deleted', sub })
    return reply.code(204).send(null)
  })
}
