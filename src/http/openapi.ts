import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { readVersion } from '../version.js'
import { registerApiPage } from './api-page.js'
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
          bearer: { type: 'http', scheme: 'bearer', description: 'The access token of a person' },
          refreshToken: { type: 'http', scheme: 'bearer', description: 'The refresh token of a person' },
          clientToken: {
            type: 'http',
            scheme: 'bearer',
            description:
              'The own access token of a client, from `/token`. Most routes take it only where a private key signs tokens',
          },
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
    await registerApiPage(docs)
    refuseOtherMethods()
  })
}

/**
 * @fastify/swagger marks every body as required. A body without a required member is optional, for example at `POST /logout`
 * with a bearer token.
 */
function markOptionalBody({ requestBody }: Operation): void {
  if (!requestBody) return
  requestBody.required = Object.values(requestBody.content).some(({ schema }) => schema?.required?.length)
}
