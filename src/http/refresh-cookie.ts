import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { TokenResponse } from '../../schemas/token-response.js'
import { refusal } from './errors.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Where the refresh token of the answer goes. */
    refreshIn: 'body' | 'cookie'
  }
}

/** The refresh token in a cookie, which no script can read. Only routes that name this object read or set the cookie. */
export interface RefreshCookie {
  /**
   * Decides where the answer to a sign-in carries the refresh token: in the body, or in the cookie if the request asks for it.
   *
   * @throws 400 if REFRESH_COOKIE is off, or if the page has an origin that is not allowed: such a page could sign the person in
   *   to the account of somebody else
   */
  choose(request: FastifyRequest, refreshIn: 'body' | 'cookie' | undefined): void
  /** The token in the cookie of a page whose origin is allowed. */
  read(request: FastifyRequest): string | undefined
  clear(reply: FastifyReply): void
}

/** The prefix makes browsers refuse the cookie from a subdomain, without TLS, or with another path (RFC 6265bis §4.1.3.2). */
const NAME = '__Host-latchkey-refresh'
const ATTRIBUTES = 'HttpOnly; Secure; SameSite=Strict; Path=/'
// Only spaces may stand before the name. Browsers accept a name that begins with U+00A0 from every subdomain, because that name
// does not begin with the prefix. `\s` would skip the character, and the cookie would pass for this one.
const COOKIE = new RegExp(`(?:^|;) *${NAME}=([^; ]*)`, 'g')

/**
 * Call this before the routes.
 *
 * @param origins the origins whose pages may use the cookie. Undefined: cookies are off
 */
export function registerRefreshCookie(app: FastifyInstance, origins: readonly string[] | undefined): RefreshCookie {
  app.decorateRequest('refreshIn', 'body')
  if (!origins) {
    return {
      choose(_request, refreshIn) {
        if (refreshIn === 'cookie') {
          throw refusal.invalidRequest('refresh_in=cookie is off: leave it out, or set REFRESH_COOKIE=on')
        }
      },
      read: () => undefined,
      clear() {},
    }
  }
  const allowed: ReadonlySet<string> = new Set(origins)

  // One hook for all answers with tokens: no route can forget to take the token out of the body.
  app.addHook('preSerialization', (request, reply, payload, done) => {
    if (request.refreshIn === 'body' || reply.statusCode !== 200) return done(null, payload)
    const body = payload as Partial<TokenResponse> & { tokens?: Partial<TokenResponse> }
    const { refresh_token: token, refresh_expires_in: lifetime, ...others } = body.tokens ?? body
    if (token === undefined) return done(null, payload)
    setCookie(reply, token, lifetime ?? 0)
    const rest = { ...others, refresh_expires_in: lifetime }
    done(null, body.tokens ? { ...body, tokens: rest } : rest)
  })

  return {
    choose(request, refreshIn) {
      if (refreshIn !== 'cookie') return
      const { origin } = request.headers
      // Browsers send Origin with every POST. A caller without it is not a browser.
      if (origin !== undefined && !allowed.has(origin)) {
        throw refusal.invalidRequest(
          'refresh_in=cookie is for pages on the origins of CORS_ORIGINS: add this origin there',
        )
      }
      request.refreshIn = 'cookie'
    },

    read({ headers: { origin, cookie } }) {
      if (cookie === undefined || origin === undefined || !allowed.has(origin)) return undefined
      const [first, second] = cookie.matchAll(COOKIE)
      if (second) throw refusal.invalidRequest(`the cookie ${NAME} appears twice: send it once`)
      return first?.[1] || undefined
    },

    clear: (reply) => setCookie(reply, '', 0),
  }
}

/** @param lifetime seconds */
function setCookie(reply: FastifyReply, token: string, lifetime: number): void {
  reply.header('set-cookie', `${NAME}=${token}; ${ATTRIBUTES}; Max-Age=${lifetime}`)
}
