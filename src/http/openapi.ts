import helmet from '@fastify/helmet'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { readVersion } from '../version.js'
import { collectAddresses } from './other-methods.js'

/** The members of an OpenAPI operation that this file uses. */
interface Operation {
  requestBody?: { required?: boolean; content: Record<string, { schema?: { required?: string[] } }> }
}

/** Makes the OpenAPI document from the schemas of the routes that are registered later, and serves it with its page. */
export async function registerOpenapi(app: FastifyInstance, issuer: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Latchkey',
        version: readVersion(),
        description:
          'Signs people in, issues a short-lived access token (JWT) and a rotating refresh token, and ends any session ' +
          'at once, everywhere.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: issuer }],
      tags: [
        { name: 'users', description: 'Accounts' },
        { name: 'factors', description: 'Second factors' },
        { name: 'sessions', description: 'One sign-in on one device' },
        { name: 'services', description: 'For other services' },
        { name: 'admin', description: 'For clients with the scope `admin`, and people with the role `latchkey-admin`' },
      ],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'An access token; at `/refresh`, the refresh token' },
          basic: { type: 'http', scheme: 'basic', description: 'The id and secret of a client' },
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
  // Every body may be JSON or a form.
  app.addHook('onRoute', (route) => {
    if (route.schema?.body) {
      route.schema = { ...route.schema, consumes: ['application/json', 'application/x-www-form-urlencoded'] }
    }
  })
  await app.register(async (docs) => {
    const refuseOtherMethods = collectAddresses(docs)
    await registerDocs(docs)
    refuseOtherMethods()
  })
}

/** `GET /openapi.json`, and `GET /docs`, the page that shows the document. */
async function registerDocs(app: FastifyInstance): Promise<void> {
  // Only this page needs Helmet: browsers render no other answer of this service.
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        // Swagger UI sets inline styles.
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", 'data:'],
        // Swagger UI's "Try it out" calls this service.
        connectSrc: ["'self'"],
        formAction: ["'none'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    // Only the gateway knows whether callers use TLS.
    strictTransportSecurity: false,
  })
  // All answers share one buffer: the document has 200 KB.
  let document: Buffer | undefined
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
    document ??= Buffer.from(JSON.stringify(app.swagger()))
    return reply.type('application/json; charset=utf-8').send(document)
  })
  await app.register(swaggerUi, { routePrefix: '/docs' })
}

/**
 * @fastify/swagger marks every body as required. A body without a required member is optional, for example at `POST /logout`
 * with a bearer token.
 */
function markOptionalBody({ requestBody }: Operation): void {
  if (!requestBody) return
  requestBody.required = Object.values(requestBody.content).some(({ schema }) => schema?.required?.length)
}
