import type { FastifyInstance } from 'fastify'
import { refusal } from './errors.js'

/**
 * Answers 405 with `Allow` (RFC 9110 §15.5.6) to each method that an address does not have.
 *
 * Call this function before the routes are registered. Call the function that it returns after them.
 */
export function collectAddresses(app: FastifyInstance): () => void {
  const addresses = new Set<string>()
  app.addHook('onRoute', ({ url }) => void addresses.add(url))
  return function refuseOtherMethods() {
    for (const url of addresses) {
      const own = app.supportedMethods.filter((method) => app.hasRoute({ url, method }))
      const allow = own.sort().join(', ')
      app.route({
        url,
        method: app.supportedMethods.filter((method) => !own.includes(method)),
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
