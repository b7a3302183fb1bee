import type { FastifyPluginAsync } from 'fastify'
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
export const admin: FastifyPluginAsync<AdminDependencies & ActivityDependencies> = async (app, dependencies) => {
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('cache-control', 'no-store')
    done()
  })
  app.addHook('preValidation', requireAdministrator(dependencies))
  await app.register(usersRoutes, dependencies)
  await app.register(userRoutes, dependencies)
  await app.register(resetPasswordRoute, dependencies)
  await app.register(setRolesRoute, dependencies)
  await app.register(renameRoute, dependencies)
  await app.register(setClaimsRoute, dependencies)
  await app.register(userFactorsRoutes, dependencies)
  await app.register(clientsRoutes, dependencies)
  await app.register(clientRoutes, dependencies)
  await app.register(issuersRoutes, dependencies)
  await app.register(sessionsRoutes, dependencies)
  await app.register(activityRoutes, dependencies)
}
