import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { requireAdministrator } from '../guards/administrator.js'
import { type ActivityDependencies, activityRoutes } from './activity.js'
import { clientRoutes } from './client.js'
import { clientsRoutes } from './clients.js'
import type { AdminDependencies } from './dependencies.js'
import { issuersRoutes } from './issuers.js'
import { sessionsRoutes } from './sessions.js'
import { userRoutes } from './user.js'
import { setClaimsRoute } from './user-claims.js'
import { userFactorsRoutes } from './user-factors.js'
import { resetPasswordRoute } from './user-password.js'
import { setRolesRoute } from './user-roles.js'
import { renameRoute } from './user-username.js'
import { usersRoutes } from './users.js'

/**
 * `/admin/…`: accounts, clients, trusted issuers and sessions, for clients with the scope `admin` and people with the role
 * `latchkey-admin`.
 */
export const admin: FastifyPluginAsyncTypebox<AdminDependencies & ActivityDependencies> = async (app, dependencies) => {
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('cache-control', 'no-store')
    done()
  })
  app.addHook('preValidation', requireAdministrator(dependencies))
  // One scope, as in `people.ts`.
  await usersRoutes(app, dependencies)
  await userRoutes(app, dependencies)
  await resetPasswordRoute(app, dependencies)
  await setRolesRoute(app, dependencies)
  await renameRoute(app, dependencies)
  await setClaimsRoute(app, dependencies)
  await userFactorsRoutes(app, dependencies)
  await clientsRoutes(app, dependencies)
  await clientRoutes(app, dependencies)
  await issuersRoutes(app, dependencies)
  await sessionsRoutes(app, dependencies)
  await activityRoutes(app, dependencies)
}
