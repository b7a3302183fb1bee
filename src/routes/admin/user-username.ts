import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { RenameUser } from '../../../schemas/admin/user-username.js'
import { refusal } from '../../http/errors.js'
import { renameAccount } from '../../lifecycle/accounts.js'
import { brokenUsernameRule, usernameRules } from '../../users/username.js'
import { callingAdministrator } from '../guards/caller.js'
import { userBody } from '../responses/user.js'
import type { AdminDependencies } from './dependencies.js'

/** `PUT /admin/users/:id/username`: an account gets another name, and its sessions show it. */
export const renameRoute: FastifyPluginAsyncTypebox<AdminDependencies> = async (app, dependencies) => {
  const { audit } = dependencies

  app.put('/admin/users/:id/username', { schema: RenameUser }, async (request) => {
    const { id: by } = callingAdministrator(request)
    const { id: sub } = request.params
    const { username } = request.body
    const rule = brokenUsernameRule(username)
    if (rule) throw refusal.invalidRequest(usernameRules[rule])

    const user = await renameAccount(dependencies, sub, username, (renamed) =>
      audit(request, { event: 'user.renamed', sub, username: renamed.username, by }),
    )
    if (user === 'taken') throw refusal.usernameTaken()
    if (!user) throw refusal.noSuch('account')
    return userBody(user)
  })
}
