import { createServer } from 'node:http'
import {
  type AccessTokenClaims,
  createVerifier,
  TokenError,
  type TokenErrorCode,
  type Verifier,
} from '@latchkey/verifier'
import { createGuards } from '@latchkey/verifier/connect'
import latchkeyByDefault, { latchkey } from '@latchkey/verifier/fastify'
import Fastify from 'fastify'

// As the contract has it.
export const verifier: Verifier = createVerifier({
  issuer: 'https://auth.example.com',
  audience: 'todo',
  keys: { secrets: [process.env.JWT_SECRET] },
  revocation: { mode: 'follow', redis: 'redis://localhost', maxStaleness: 1000 },
})

export const others = [
  createVerifier({
    issuer: 'https://auth.example.com',
    audience: ['todo', 'notes'],
    keys: { jwksUri: 'https://auth.example.com/.well-known/jwks.json' },
    revocation: { mode: 'lookup', redis: { duplicate: () => undefined } },
  }),
  createVerifier({
    issuer: 'https://auth.example.com',
    audience: 'todo',
    keys: { jwks: { keys: [{ kty: 'OKP', crv: 'Ed25519', x: '', kid: '1' }] } },
    revocation: {
      mode: 'introspect',
      endpoint: 'https://auth.example.com/introspect',
      clientId: 'todo',
      clientSecret: 'secret',
      cacheSeconds: 1,
    },
  }),
]

export async function subjectOf(token: string): Promise<string | TokenErrorCode> {
  try {
    const claims: AccessTokenClaims = await verifier.verify(token)
    const sid: string | undefined = claims.sid
    return sid ?? claims.sub
  } catch (error) {
    if (error instanceof TokenError) return error.code
    throw error
  }
}

const app = Fastify()
await app.register(latchkey, { verifier })
await app.register(latchkeyByDefault, { verifier, realm: 'todo' })
app.get('/todos', { onRequest: app.requireScope('todo:read') }, async (request) => request.claims.sub)
app.addHook('onRequest', app.requireToken)
app.get('/admin', { onRequest: [app.requireToken, app.requireRole('admin')] }, async () => 'admin')

const { requireToken } = createGuards(verifier)
createServer((request, response) => {
  requireToken(request, response, () => response.end(request.claims?.sub))
})
