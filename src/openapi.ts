import helmet from '@fastify/helmet'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'

/** What of an operation is looked at below. */
interface Operation {
  requestBody?: { required?: boolean; content: Record<string, { schema?: { required?: string[] } }> }
}

/** The document, from the schemas of the routes that are registered after this. */
export async function registerOpenapi(app: FastifyInstance, issuer: string): Promise<void> {
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
}

/** `GET /openapi.json`, and `GET /docs`, which shows it. */
export async function registerDocs(app: FastifyInstance): Promise<void> {
  // Here alone is a page: what else this service answers no browser shows.
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        // The page sets some of its styles itself.
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", 'data:'],
        // "Try it out" calls this service.
        connectSrc: ["'self'"],
        formAction: ["'none'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    // Whether there is TLS only the gateway knows.
    strictTransportSecurity: false,
  })
  // One buffer for all answers: the document has 200 KB.
  let document: Buffer | undefined
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
    document ??= Buffer.from(JSON.stringify(app.swagger()))
    return reply.type('application/json; charset=utf-8').send(document)
  })
  await app.register(swaggerUi, { routePrefix: '/docs' })
}

/** The plugin calls every body required. One without a required member may be left out: so `POST /logout` with a bearer. */
function markOptionalBody({ requestBody }: Operation): void {
  if (!requestBody) return
  requestBody.required = Object.values(requestBody.content).some(({ schema }) => schema?.required?.length)
}
