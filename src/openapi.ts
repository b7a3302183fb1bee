import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'

/** What of an operation is looked at below. */
interface Operation {
  requestBody?: { required?: boolean; content: Record<string, { schema?: { required?: string[] } }> }
}

/** `GET /openapi.json` and `GET /docs`, from the schemas of the routes that are registered after this. */
export async function registerDocs(app: FastifyInstance, issuer: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Latchkey',
        version: '0.1.0',
        description:
          'Signs people in, hands out a short-lived access token (JWT) and a rotating refresh token, and ends any ' +
          'session at once, everywhere.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: issuer }],
      tags: [
        { name: 'users', description: 'Accounts' },
        { name: 'sessions', description: 'One sign-in on one device' },
        { name: 'services', description: 'For other services' },
        { name: 'admin', description: 'For clients with the scope `admin`' },
      ],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'An access token; at /refresh the refresh token' },
          basic: { type: 'http', scheme: 'basic', description: 'Id and secret of a client' },
        },
      },
    },
    transformObject: (document) => {
      if (!('openapiObject' in document)) return document.swaggerObject
      for (const path of Object.values(document.openapiObject.paths ?? {})) {
        for (const operation of Object.values(path ?? {}) as Operation[]) markOptionalBody(operation)
      }
      return document.openapiObject
    },
  })
  // Every body may be sent as either.
  app.addHook('onRoute', (route) => {
    if (route.schema?.body) {
      route.schema = { ...route.schema, consumes: ['application/json', 'application/x-www-form-urlencoded'] }
    }
  })
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
  await app.register(swaggerUi, { routePrefix: '/docs' })
}

/** The plugin calls every body required. One without a required member may be left out: so `POST /logout` with a bearer. */
function markOptionalBody({ requestBody }: Operation): void {
  if (!requestBody) return
  requestBody.required = Object.values(requestBody.content).some(({ schema }) => schema?.required?.length)
}
