import type { AccessTokenClaims } from '@latchkey/verifier/access-token'
import type { FastifyInstance } from 'fastify'
import { answer } from './errors.js'

export interface Verifier {
  ready(): Promise<void>
  verify(token: string): Promise<AccessTokenClaims>
  close(): Promise<void>
}

declare module 'fastify' {
  interface FastifyRequest {
    claims: AccessTokenClaims
  }
}

export function registerGuard(app: FastifyInstance, verifier: Verifier): void {
  app.addHook('onRequest', async (request, reply) => {
    const token = /^bearer ([\w.~+/-]+=*)$/i.exec(request.headers.authorization ?? '')?.[1]
    try {
      request.claims = await verifier.verify(token ?? '')
    } catch {
      reply.header('www-authenticate', 'Bearer')
      return answer(reply, 401, 'invalid_token', 'sign in')
    }
  })
}

export function introspecting(endpoint: string, id: string, secret: string): Verifier {
  return {
    ready: async () => {},
    close: async () => {},
    async verify(token) {
      const response = await fetch(endpoint, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` },
        body: new URLSearchParams({ token }),
      })
      const claims = (await response.json()) as AccessTokenClaims & { active: boolean }
      if (!claims.active) throw new Error('inactive')
      return claims
    },
  }
}
