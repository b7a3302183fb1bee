import { readFileSync } from 'node:fs'
import type { FastifyPluginAsync } from 'fastify'

const FILES = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/page.css', 'page.css', 'text/css; charset=utf-8'],
  ['/page.js', 'page.js', 'text/javascript; charset=utf-8'],
  ['/icon.svg', 'icon.svg', 'image/svg+xml'],
] as const

/**
 * Nothing but this origin's own files runs, loads or is talked to, and no string becomes markup (trusted types): tokens
 * within a script's reach make script injection the attack that counts.
 */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  // Forms are sent by script. Should the script not run, no password goes anywhere.
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

/** The page: four files, as they are. */
export const page: FastifyPluginAsync = async (app) => {
  for (const [url, file, type] of FILES) {
    const content = readFileSync(new URL(`../page/${file}`, import.meta.url))
    app.get(url, (_request, reply) => reply.type(type).header('cache-control', 'no-cache').send(content))
  }
}
