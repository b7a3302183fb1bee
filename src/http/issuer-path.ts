import type { FastifyInstance } from 'fastify'

interface IssuerPath {
  /** The address of a request without the path. For Fastify's `rewriteUrl`. */
  remove(this: unknown, request: { url?: string | undefined }): string
  /** Call this function before the routes are registered. */
  watchRoutes(app: FastifyInstance): void
}

/**
 * The path of an issuer such as `https://example.com/auth`. Clients call `/auth/token`, and a gateway may or may not remove
 * `/auth`. With this the service answers at both addresses. Undefined if the issuer has no path.
 *
 * If a route of the service begins with the same word (`/users`), the plain address counts, and the gateway must remove the
 * path. Otherwise `/users/me` would be read as `/me`.
 */
export function createIssuerPath(issuer: string): IssuerPath | undefined {
  const path = new URL(issuer).pathname.replace(/\/+$/, '')
  if (path === '') return undefined
  const [, firstWord] = path.split('/')
  let isAmbiguous = false

  return {
    remove({ url = '' }) {
      if (isAmbiguous || !url.startsWith(path)) return url
      const rest = url.slice(path.length)
      if (rest.startsWith('/')) return rest
      return rest === '' || rest.startsWith('?') ? `/${rest}` : url
    },

    watchRoutes(app) {
      app.addHook('onRoute', ({ url }) => {
        if (url.split('/')[1] === firstWord) isAmbiguous = true
      })
    },
  }
}
