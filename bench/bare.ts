import formbody from '@fastify/formbody'
import Fastify from 'fastify'

/** The baseline: a Fastify route with schemas that takes a form, answers like introspection, and does nothing else. */
const app = Fastify()
await app.register(formbody)
const text = { type: 'string' } as const
const number = { type: 'integer' } as const
const properties = {
  active: { type: 'boolean' },
  ...{ sub: text, username: text, client_id: text, scope: text, aud: text, iss: text },
  ...{ exp: number, iat: number, jti: text, sid: text, token_type: text },
}
const answer = {
  active: true,
  sub: 'c5b4979d-8df3-4033-898b-6ff3b6f40dd4',
  username: 'ada',
  client_id: 'latchkey',
  scope: 'todo:read todo:write',
  aud: 'http://localhost:3000',
  iss: 'http://localhost:3000',
  exp: 1795293062,
  iat: 1795292162,
  jti: 'VC7Ptwwc4JrI0hWdEUhzIg',
  sid: 'GOw4ysLsafc4-bCkTsYAMQ',
  token_type: 'Bearer',
}
app.post(
  '/introspect',
  {
    schema: {
      body: { type: 'object', required: ['token'], properties: { token: text } },
      response: { 200: { type: 'object', properties } },
    },
  },
  async () => answer,
)
// What a gateway asks: an empty answer with the headers of a person.
app.get('/verify', async (_request, reply) =>
  reply.header('x-auth-sub', answer.sub).header('x-auth-sid', answer.sid).header('x-auth-scope', answer.scope).send(),
)
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
