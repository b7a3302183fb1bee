import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Livez, Readyz } from '../../schemas/health.js'

interface Dependencies {
  /** A check for each dependency, by name. A check throws when its dependency does not answer. */
  checks: Readonly<Record<string, () => Promise<void>>>
  isDraining: () => boolean
}

/** `GET /livez`, `GET /readyz`, on the management port. */
export const health: FastifyPluginAsyncTypebox<Dependencies> = async (app, { checks, isDraining }) => {
  // Checks no dependency: a restart does not repair a store.
  app.get('/livez', { schema: Livez }, async () => ({ status: 'ok' }))

  app.get('/readyz', { schema: Readyz }, async (request, reply) => {
    const excluded = [request.query.exclude ?? []].flat()
    const included = Object.entries(checks).filter(([name]) => !excluded.includes(name))
    const results = await Promise.all(
      included.map(async ([name, check]): Promise<[string, string]> => {
        try {
          await check()
          return [name, 'ok']
        } catch (error) {
          return [name, (error as Error).message]
        }
      }),
    )
    const isReady = results.every(([, result]) => result === 'ok')
    const status = isDraining() ? 'draining' : isReady ? 'ok' : 'unavailable'
    if (status !== 'ok') reply.code(503).header('retry-after', '1')
    return { status, checks: Object.fromEntries(results) }
  })
}
