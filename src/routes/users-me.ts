import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { DeleteAccount } from '../../schemas/users-me.js'
import { deleteAccount, revokeAllCallerLast } from '../lifecycle/accounts.js'
import { callingPerson } from './guards/caller.js'
import { type LiveTokenDependencies, requirePerson } from './guards/live-token.js'
import { type OwnPasswordDependencies, requireOwnPassword } from './guards/own-password.js'

type Dependencies = LiveTokenDependencies & OwnPasswordDependencies

/** `DELETE /users/me`: a person deletes their account, and all their sessions end. */
export const deleteOwnAccount: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  const { users, sessions, audit } = dependencies
  const preValidation = requirePerson(dependencies)

  app.delete('/users/me', { schema: DeleteAccount, preValidation }, async (request, reply) => {
    const person = callingPerson(request)
    const { sub } = person
    await requireOwnPassword(request, sub, request.body.password, dependencies)

    const endSessions = async () => {
      const sids = await revokeAllCallerLast(sessions, person)
      audit(request, { event: 'session.ended', sub, sids, reason: 'user_deleted' })
    }
    await deleteAccount(users, sub, endSessions, () => audit(request, { event: 'user.disabled', sub }))
    audit(request, { event: 'user.deleted', sub })
    return reply.code(204).send(null)
  })
}
