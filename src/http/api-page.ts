import { readFileSync } from 'node:fs'
import helmet from '@fastify/helmet'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'

/** What the browser has. The TypeScript of the service knows no page. */
declare const document: {
  querySelector(selector: string): { setAttribute(name: string, value: string): void } | null
}
declare const location: { origin: string }

/** The mark of the console is the mark of this page too. */
const MARK = new URL('../../../console/icon.svg', import.meta.url)

/** The colours of the console. Swagger UI has a dark mode of its own. */
const STYLE = `
.swagger-ui .topbar { background: #0d6e5f; }
.swagger-ui .topbar a { max-width: none; }
.swagger-ui .topbar a::after { content: 'Latchkey'; padding-left: 10px; }
.swagger-ui .topbar .download-url-wrapper { display: none; }
.swagger-ui .topbar .dark-mode-toggle { margin-left: auto; }
.swagger-ui .info a, .swagger-ui .btn.authorize { color: #0d6e5f; }
.swagger-ui .btn.authorize { border-color: currentcolor; }
.swagger-ui .btn.execute { background: #0d6e5f; border-color: #0d6e5f; }
html.dark-mode .swagger-ui .info a, html.dark-mode .swagger-ui .btn.authorize { color: #4fc9b0; }
`

/** `GET /openapi.json`, and `GET /docs`, the page that shows the document. */
export async function registerApiPage(app: FastifyInstance): Promise<void> {
  // Only this page needs Helmet: browsers render no other answer of this service.
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        // Swagger UI sets inline styles.
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", 'data:'],
        // Swagger UI's "Try it out" calls this service.
        connectSrc: ["'self'"],
        formAction: ["'none'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    // Only the gateway knows whether callers use TLS.
    strictTransportSecurity: false,
  })
  // All answers share one buffer: the document has 200 KB.
  let body: Buffer | undefined
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
    body ??= Buffer.from(JSON.stringify(app.swagger()))
    return reply.type('application/json; charset=utf-8').send(body)
  })
  const mark = { type: 'image/svg+xml', content: readFileSync(MARK) }
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    logo: mark,
    theme: {
      title: 'API · Latchkey',
      favicon: [{ ...mark, filename: 'icon.svg', rel: 'icon', sizes: 'any' }],
      css: [{ filename: 'latchkey.css', content: STYLE }],
    },
    // The browser runs these two functions: they are sent as text, and see nothing of this file.
    uiConfig: {
      onComplete: () => document.querySelector('.topbar img')?.setAttribute('alt', ''),
      requestInterceptor: (request) => {
        // A gateway in front may demand a cookie for the page and its document.
        if (request.loadSpec) return request
        // A browser answers a 401 with `WWW-Authenticate: Basic` (RFC 6749 §5.2) by its own login prompt, and then sends that
        // password with every later request. It does neither to a request without its credentials (Fetch §4.6).
        request.credentials = 'omit'
        // The document names ISSUER, and the policy above allows this origin alone. The page may be open at another address.
        request.url = request.url.replace(/^https?:\/\/[^/]+/, location.origin)
        return request
      },
    },
  })
}
