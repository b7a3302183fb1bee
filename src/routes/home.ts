import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { FastifyPluginAsync } from 'fastify'
import type { Config } from '../config/config.js'
import { refusal } from '../http/errors.js'

export interface HomeDependencies {
  /** Also says whether the service serves the API page and the console. */
  config: Pick<Config, 'issuer' | 'docs' | 'console'>
}

interface Link {
  name: string
  /** Relative, so that the page also works behind a gateway that adds a path. */
  href: string
  title: string
  about: string
}

const API_PAGE: readonly Link[] = [
  { name: 'api_page', href: 'docs', title: 'API page', about: 'every route, to read and to try' },
  { name: 'openapi', href: 'openapi.json', title: 'OpenAPI document', about: 'the same, for programs' },
]
const CONSOLE: readonly Link[] = [
  { name: 'console', href: 'console/', title: 'Console', about: 'people, services and keys, for operators' },
]
const DISCOVERY: readonly Link[] = [
  {
    name: 'metadata',
    href: '.well-known/oauth-authorization-server',
    title: 'Metadata',
    about: 'the addresses that clients need (RFC 8414)',
  },
  { name: 'jwks', href: '.well-known/jwks.json', title: 'Public keys', about: 'for services that verify tokens' },
]

const STYLE = `
:root{color-scheme:light dark;--paper:#f6f4ef;--ink:#1d2321;--soft:#5a6561;--line:#e2ded4;--brand:#0d6e5f}
@media(prefers-color-scheme:dark){:root{--paper:#101514;--ink:#e9eeec;--soft:#a3b0ab;--line:#2a3431;--brand:#4fc9b0}}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
main{max-width:34rem;margin:0 auto;padding:4rem 1.25rem}
img{display:block}
h1{margin:1rem 0 0;font-size:1.5rem}
p{margin:.25rem 0 2rem;color:var(--soft)}
ul{margin:0;padding:0;list-style:none}
li{padding:.75rem 0;border-top:1px solid var(--line)}
a{color:var(--brand);font-weight:600}
small{display:block;color:var(--soft);font-size:.875rem}
`

/** The page loads nothing, runs nothing and sends nothing. Its style is allowed by its hash. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  'img-src data:',
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** `GET /`: a page of links for a person with a browser, and the same links as JSON for every other caller. */
export const home: FastifyPluginAsync<HomeDependencies> = async (app, { config }) => {
  const { issuer, docs, console } = config
  const links = [...(docs ? API_PAGE : []), ...(console ? CONSOLE : []), ...DISCOVERY]
  const base = issuer.replace(/\/$/, '')
  const json = Buffer.from(
    JSON.stringify({
      service: 'latchkey',
      links: Object.fromEntries(links.map(({ name, href }) => [name, `${base}/${href}`])),
    }),
  )
  const page = Buffer.from(render(links))
  app.get('/', { schema: { hide: true } }, async ({ headers, url, originalUrl }, reply) => {
    // The router takes `GET *` for `/`. Only OPTIONS has this target (RFC 9112 §3.2.4).
    if (url === '*') throw refusal.notFound()
    reply.headers({ 'cache-control': 'no-cache', vary: 'accept', 'x-content-type-options': 'nosniff' })
    if (!wantsPage(headers.accept)) return reply.type('application/json; charset=utf-8').send(json)
    const name = nameWithoutSlash(originalUrl)
    if (name !== undefined) return reply.redirect(`${name}/`)
    return reply
      .headers({ 'content-security-policy': CONTENT_SECURITY_POLICY, 'referrer-policy': 'no-referrer' })
      .type('text/html; charset=utf-8')
      .send(page)
  })
}

/**
 * The last word of an address such as `/auth`, the issuer's path without a slash. The relative links of the page would leave that
 * path. Undefined if the address ends with a slash.
 */
function nameWithoutSlash(address: string): string | undefined {
  const [path = ''] = address.split('?')
  return path.slice(path.lastIndexOf('/') + 1) || undefined
}

/** Browsers name `text/html`. A caller that also names JSON is a program. */
function wantsPage(accept = ''): boolean {
  return /\btext\/html\b/i.test(accept) && !/\bapplication\/json\b/i.test(accept)
}

function render(links: readonly Link[]): string {
  const icon = readFileSync(new URL('../../../console/icon.svg', import.meta.url)).toString('base64')
  const image = `data:image/svg+xml;base64,${icon}`
  const items = links.map(({ href, title, about }) => `<li><a href="${href}">${title}</a><small>${about}</small></li>`)
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Latchkey</title>
<link rel="icon" href="${image}">
<style>${STYLE}</style>
<main>
<img src="${image}" alt="" width="48" height="48">
<h1>Latchkey</h1>
<p>This is a token service. It signs people in for other services.</p>
<ul>
${items.join('\n')}
</ul>
</main>
</html>
`
}
