import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { extname } from 'node:path'
import type { FastifyPluginAsync } from 'fastify'

const FOLDER = new URL('../page/', import.meta.url)
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

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

/** Serves the files of the page, unchanged, and the library that draws the QR code. */
export const page: FastifyPluginAsync = async (app) => {
  const serve = (url: string, file: URL | string) => {
    const content = readFileSync(file)
    app.get(url, (_request, reply) =>
      reply
        .type(TYPES[extname(String(file))] as string)
        .header('cache-control', 'no-cache')
        .send(content),
    )
  }
  for (const name of readdirSync(FOLDER)) serve(name === 'index.html' ? '/' : `/${name}`, new URL(name, FOLDER))
  // The package is one file without imports. The browser loads it from this origin, so the policy stays as strict as it is.
  serve('/lean-qr.js', new URL('index.mjs', `file://${createRequire(import.meta.url).resolve('lean-qr')}`))
}
