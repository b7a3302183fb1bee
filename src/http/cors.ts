import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { collectAddresses } from './other-methods.js'

interface Options {
  origins: readonly string[]
  /** Whether pages may send the refresh cookie. */
  credentials: boolean
}

/** Seconds. Browsers keep the answer of a preflight for this time, and Chromium for two hours at most. */
const PREFLIGHT_LIFETIME = 600

/**
 * Registers routes that pages on these origins may call (Fetch standard, CORS protocol). The plugin has a scope of its own:
 * routes of other services cost nothing more, and a preflight that a gateway passes to `/verify` still needs a token.
 */
export async function registerForPages(
  app: FastifyInstance,
  { origins, credentials }: Options,
  routes: FastifyPluginAsync,
): Promise<void> {
  if (origins.length === 0) return void (await app.register(routes))
  const allowed: ReadonlySet<string> = new Set(origins)
  const { default: cors } = await import('@fastify/cors')
  await app.register(async (pages) => {
    await pages.register(cors, {
      // A function: with a list the plugin would answer the preflight of every origin.
      origin: (origin, done) => done(null, origin !== undefined && allowed.has(origin) ? origin : false),
      credentials,
      methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
      allowedHeaders: ['authorization', 'content-type', 'x-request-id', 'traceparent', 'tracestate'],
      exposedHeaders: ['retry-after', 'www-authenticate', 'x-request-id'],
      maxAge: PREFLIGHT_LIFETIME,
      // The plugin's own refusal is plain text.
      strictPreflight: false,
    })
    // Registered in this scope: the plugin's hook answers a preflight before these routes say 405.
    const refuseOtherMethods = collectAddresses(pages)
    await pages.register(routes)
    refuseOtherMethods()
  })
}
