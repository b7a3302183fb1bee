import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Revocations } from '../../schemas/revocations.js'
import type { Audit } from '../audit.js'
import { parseCursor } from '../revocations/cursor.js'
import { createRevocationReader } from '../revocations/reader.js'
import { requireClient } from './guards/client.js'
import type { LiveTokenDependencies } from './guards/live-token.js'

interface Dependencies extends LiveTokenDependencies {
  audit: Audit
  /** Registers the gauge of the followers that wait. */
  watchFollowers(waiting: () => number): void
}

/** `GET /revocations`: the feed of revocations, for services that verify access tokens themselves. */
export const revocations: FastifyPluginAsyncTypebox<Dependencies> = async (app, dependencies) => {
  const preValidation = requireClient('introspect', dependencies)
  const reader = createRevocationReader(dependencies.sessions)
  dependencies.watchFollowers(reader.waiting)
  // Before the server waits for the requests in flight.
  app.addHook('preClose', async () => reader.close())

  app.get('/revocations', { schema: Revocations, preValidation }, async (request, reply) => {
    const { after, wait = '0' } = request.query
    const { socket } = request.raw
    const cursor = after === undefined ? undefined : parseCursor(after)
    const text = await reader.read(cursor, Number(wait), () => socket.destroyed)
    // The text is JSON already. Fastify sends a buffer as it is, and would serialize an object of 1,000 revocations again.
    return reply
      .header('cache-control', 'no-store')
      .type('application/json; charset=utf-8')
      .send(Buffer.from(text) as never)
  })
}
