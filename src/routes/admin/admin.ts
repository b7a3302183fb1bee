import type { FastifyPluginAsync } from 'fastify'
import { clientRoutes } from './client.js'
import { clientsRoutes } from './clients.js'
import type { AdminNeeds } from './guard.js'
import { sessionsRoutes } from './sessions.js'
import { userRoutes } from './user.js'
import { resetPasswordRoute } from './user-password.js'
import { setRolesRoute } from './user-roles.js'
import { usersRoutes } from './users.js'

/** `/admin/…`: accounts, clients and sessions, for clients with the scope `admin`. */
export const admin: FastifyPluginAsync<AdminNeeds> = async (app, needs) => {
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('cache-control', 'no-store')
    done()
  })
  await app.register(usersRoutes, needs)
  await app.register(userRoutes, needs)
  await app.register(resetPasswordRoute, needs)
  await app.register(setRolesRoute, needs)
  await app.register(clientsRoutes, needs)
  await app.register(clientRoutes, needs)
  await app.register(sessionsRoutes, needs)
}
