import type { FastifyInstance } from 'fastify'
import { refusal } from './errors.js'

/** A route that lacks one of these methods answers 405. Every other method is 501 (RFC 9110 §9.1). */
export const KNOWN_METHODS: readonly string[] = [
  'DELETE',
  'GET',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'POST',
  'PUT',
  'QUERY',
  'TRACE',
]

/**
 * Answers 405 with `Allow` (RFC 9110 §15.5.6) to each method that an address does not have.
 *
 * Call this function before the routes are registered. Call the function that it returns after them.
 */
export function collectAddresses(app: FastifyInstance): () => void {
  const addresses = new Set<string>()
  app.addHook('onRoute', ({ url }) => {
    // Every address: the preflight route of @fastify/cors.
    if (url !== '*') addresses.add(url)
  })
  return function refuseOtherMethods() {
    for (const url of addresses) {
      const own = KNOWN_METHODS.filter((method) => app.hasRoute({ url, method }))
      // A scope below has done it.
      if (own.length === KNOWN_METHODS.length) continue
      const allow = own.join(', ')
      app.route({
        url,
        method: KNOWN_METHODS.filter((method) => !own.includes(method)),
        schema: { hide: true },
        // `onRequest` runs before the body is read: the body does not matter.
        onRequest: async () => {
          throw refusal.methodNotAllowed(allow)
        },
        handler: async () => {},
      })
    }
  }
}
