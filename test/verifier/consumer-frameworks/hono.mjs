import { serve } from '@hono/node-server'
import { createVerifier } from '@latchkey/verifier'
import { createGuards } from '@latchkey/verifier/web'
import { Hono } from 'hono'
import options from './options.cjs'

const { requireToken, requireRole } = createGuards(createVerifier(options))
const app = new Hono()
const guarded = (guard, answer) => async (context) => {
  const claims = await guard(context.req.raw)
  return claims instanceof Response ? claims : context.json(answer(claims))
}
app.get(
  '/',
  guarded(requireToken, ({ sub }) => ({ hello: sub })),
)
app.get(
  '/admin',
  guarded(requireRole('admin'), () => ({ hello: 'admin' })),
)
serve({ fetch: app.fetch, port: Number(process.env.PORT) })
