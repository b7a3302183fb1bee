import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { SetClaims } from '../../../schemas/admin/user-claims.js'
import { refusal } from '../../http/errors.js'
import { callingAdministrator } from '../guards/caller.js'
import { readClaims } from '../requests/account-claims.js'
import type { AdminDependencies } from './dependencies.js'

/** `PUT /admin/users/:id/claims`: sets the claims of an account. */
export const setClaimsRoute: FastifyPluginAsyncTypebox<AdminDependencies> = async (app, dependencies) => {
  const { users, audit } = dependencies

  app.put('/admin/users/:id/claims', { schema: SetClaims }, async (request, reply) => {
    const { id: by } = callingAdministrator(request)
    const { id: sub } = request.params
    const claims = readClaims(request.body.claims)

    if (!(await users.setClaims(sub, claims))) throw refusal.noSuch('account')
    audit(request, { event: 'user.claims_changed', sub, claims: Object.keys(claims), by })
    return reply.code(204).send(null)
  })
}
