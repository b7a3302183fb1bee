import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import type { FastifyPluginAsync } from 'fastify'

const FOLDER = new URL('../../../console/', import.meta.url)
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/**
 * Only files of this origin run and load, the page connects only to this origin, and no string becomes markup (trusted types).
 * The page holds the tokens of an administrator, so script injection is the attack that counts.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  // Scripts send the forms. If the script does not run, no password leaves the page.
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

/**
 * `GET /console/`: the page for operators. Its files have no secret, and everything that the page does is in the admin API.
 * Each file is read when somebody asks for it, so a service that nobody looks at pays nothing.
 */
export const console: FastifyPluginAsync = async (app) => {
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers({
      'content-security-policy': CONTENT_SECURITY_POLICY,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cache-control': 'no-cache',
    })
    done()
  })
  const schema = { hide: true }
  // Relative, so that the page also works behind a gateway that adds a path.
  app.get('/console', { schema }, async (_request, reply) => reply.code(308).header('location', 'console/').send())
  for (const name of readdirSync(FOLDER)) {
    const type = TYPES[extname(name)]
    if (type === undefined) continue
    app.get(name === 'index.html' ? '/console/' : `/console/${name}`, { schema }, async (_request, reply) =>
      reply.type(type).send(await readFile(new URL(name, FOLDER))),
    )
  }
}
