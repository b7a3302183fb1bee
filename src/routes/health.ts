import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Livez, Readyz } from '../../schemas/health.js'
import { type Checks, runChecks } from '../checks.js'

interface Dependencies {
  checks: Checks
  isDraining: () => boolean
}

const REASONS = {
  draining: 'this instance is about to stop: send requests to another one',
  unavailable: 'a dependency is not ready: checks names it',
}

/** `GET /livez`, `GET /readyz`, on the management port. */
export const health: FastifyPluginAsyncTypebox<Dependencies> = async (app, { checks, isDraining }) => {
  // Checks no dependency: a restart does not repair a store.
  app.get('/livez', { schema: Livez }, async () => ({ status: 'ok' }))

  app.get('/readyz', { schema: Readyz }, async (request, reply) => {
    const excluded = [request.query.exclude ?? []].flat()
    const included = Object.entries(checks).filter(([name]) => !excluded.includes(name))
    const results = await runChecks(Object.fromEntries(included))
    const isReady = Object.values(results).every((result) => result === 'ok')
    const status = isDraining() ? 'draining' : isReady ? 'ok' : 'unavailable'
    if (status === 'ok') return { status, checks: results }
    reply.code(503).header('retry-after', '1')
    return { error: 'temporarily_unavailable', error_description: REASONS[status], status, checks: results }
  })
}
