import { createVerifier } from '@latchkey/verifier'
import { latchkey } from '@latchkey/verifier/fastify'
import Fastify from 'fastify'
import options from './options.cjs'

const app = Fastify()
await app.register(latchkey, { verifier: createVerifier(options) })
app.get('/', { onRequest: app.requireToken }, async (request) => ({ hello: request.claims.sub }))
app.get('/admin', { onRequest: app.requireRole('admin') }, async () => ({ hello: 'admin' }))
await app.listen({ port: Number(process.env.PORT) })
