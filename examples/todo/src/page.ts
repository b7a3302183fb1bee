import { readFileSync } from 'node:fs'
import type { FastifyPluginAsync } from 'fastify'

const FILES = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/page.css', 'page.css', 'text/css; charset=utf-8'],
  ['/page.js', 'page.js', 'text/javascript; charset=utf-8'],
  ['/icon.svg', 'icon.svg', 'image/svg+xml'],
] as const

/**
 * Only files of this origin run and load, the page connects only to this origin, and no string becomes markup (trusted types).
 * A script can read the tokens, so script injection is the attack that counts.
 */
export const CONTENT_SECURITY_POLICY = [
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

/** Serves the four files of the page, unchanged. */
export const page: FastifyPluginAsync = async (app) => {
  for (const [url, file, type] of FILES) {
    const content = readFileSync(new URL(`../page/${file}`, import.meta.url))
    app.get(url, (_request, reply) => reply.type(type).header('cache-control', 'no-cache').send(content))
  }
}
