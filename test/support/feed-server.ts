import { createHmac, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { createVerifier, type Verifier } from '@latchkey/verifier'
import { sharedSecretKey } from '@latchkey/verifier/access-token'
import { type Clock, systemClock } from '@latchkey/verifier/clock'
import type { Test } from 'tap'
import { basicAuthorization } from './api.js'
import { listen, listener } from './key-server.js'
import { CLIENT, JWT_SECRET } from './service.js'

type Entry = { sids: string[] } | { client_id: string; issued_until: number }
type Interceptor = (request: IncomingMessage, response: ServerResponse) => unknown

/**
 * A token service of the test's own that answers by the contract: tokens, introspection, the feed and metadata. A test bends
 * its answers.
 */
export interface FeedServer {
  url: string
  port: number
  /** Requests for the feed, and introspections, so far. */
  readonly polls: number
  readonly introspections: number
  issue(claims?: object): { token: string; sid: string }
  /** Ends a session: the entry is in the feed and introspection answers inactive when this returns. */
  revoke(sid: string): void
  /** Revokes the tokens of a client that were issued until now. */
  revokeClient(id: string): void
  /** The history is another one, without entries. */
  restart(epoch?: number): void
  /** Drops the entries, as when they are older than what is kept. */
  trim(): void
  /** Answers requests for the feed instead of the server. Undefined: the server answers again. */
  intercept(answer?: Interceptor): void
  /** Holds the answers to introspections until the returned function is called. */
  holdIntrospections(): () => void
  /**
   * From now on the server closes each connection when a second request arrives on it, by FIN and by RST in turn. To a client
   * this looks as if the server closed an idle connection just when the client sent. The server closes at most two connections for
   * one introspected token, because after more a client gives up.
   */
  closeReused(): void
  /** Connections that were closed by `closeReused`. */
  readonly closed: number
  /** The clock of the server is wrong by this many milliseconds: its answers have this date. */
  clockError: number
  /** Sends other metadata. */
  metadata: Record<string, unknown>
}

const MAX_CLOSINGS = 2

export async function startFeedServer(t: Test, epochAge = 3600): Promise<FeedServer> {
  const dead = new Set<string>()
  let feed = 'first'
  let epoch = Math.floor(Date.now() / 1000) - epochAge
  let entries: Entry[] = []
  let trimmed = 0
  let [polls, introspections, closed] = [0, 0, 0]
  let isClosingReused = false
  const used = new WeakSet<Socket>()
  /** How many connections the server closed under the question about a token. */
  const closingsOf = new Map<string, number>()
  let interceptor: Interceptor | undefined
  let untilReleased: Promise<void> = Promise.resolve()
  const held = new Set<() => void>()
  const { authorization } = basicAuthorization(CLIENT)

  async function answerFeed(request: IncomingMessage, response: ServerResponse): Promise<void> {
    polls += 1
    if (interceptor) {
      await interceptor(request, response)
      return
    }
    const arrived = performance.now()
    const { searchParams } = new URL(request.url ?? '', 'http://localhost')
    const after = searchParams.get('after')
    const wait = Number(searchParams.get('wait') ?? 0)
    let timer: NodeJS.Timeout | undefined
    const answer = () => {
      clearTimeout(timer)
      held.delete(answer)
      const [name, index] = (after ?? `${feed}-0`).split('-') as [string, string]
      const isKnown = name === feed && Number(index) >= trimmed
      const from = after !== null && isKnown ? Number(index) : trimmed
      const page = entries.slice(from, from + 1000)
      const body = {
        feed: after !== null && !isKnown ? `${feed}x${randomBytes(3).toString('hex')}` : feed,
        epoch,
        cursor: `${feed}-${from + page.length}`,
        more: from + page.length < entries.length,
        read_after_ms: performance.now() - arrived,
        revocations: page.filter(Boolean),
      }
      const date = new Date(Date.now() + self.clockError).toUTCString()
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store', date })
      response.end(JSON.stringify(body))
    }
    held.add(answer)
    if (wait === 0 || after !== `${feed}-${entries.length}`) answer()
    else timer = setTimeout(answer, wait)
  }

  function close(socket: Socket): void {
    closed += 1
    if (closed % 2 === 0) socket.destroy()
    else socket.resetAndDestroy()
  }

  async function answerIntrospection(
    request: IncomingMessage,
    response: ServerResponse,
    mayClose: boolean,
  ): Promise<void> {
    introspections += 1
    let form = ''
    for await (const chunk of request) form += chunk
    await untilReleased
    const token = new URLSearchParams(form).get('token') ?? ''
    const closings = closingsOf.get(token) ?? 0
    if (mayClose && closings < MAX_CLOSINGS) {
      closingsOf.set(token, closings + 1)
      return close(request.socket)
    }
    const [signed, signature] = [token.slice(0, token.lastIndexOf('.')), token.slice(token.lastIndexOf('.') + 1)]
    let active = false
    let claims: { jti?: string; sid?: string } = {}
    if (signature !== '' && signature === mac(signed)) {
      claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
      active = !dead.has(claims.sid ?? '')
    }
    response.end(JSON.stringify(active ? { ...claims, active } : { active }))
  }

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request
    const mayClose = isClosingReused && used.has(socket)
    used.add(socket)
    const path = (request.url ?? '').split('?')[0]
    if (mayClose && path !== '/introspect') return close(socket)
    if (path === '/.well-known/oauth-authorization-server') return void response.end(JSON.stringify(self.metadata))
    if (path === '/.well-known/jwks.json') return void response.end('{"keys":[]}')
    if (request.headers.authorization !== authorization) return void response.writeHead(401).end()
    if (path === '/revocations') return answerFeed(request, response)
    if (path === '/introspect') return answerIntrospection(request, response, mayClose)
    response.writeHead(404).end()
  }

  const port = await listen(t, createServer(listener(route)))
  const url = `http://127.0.0.1:${port}`
  const publish = (entry: Entry) => {
    entries.push(entry)
    for (const answer of held) answer()
  }

  const self: FeedServer = {
    url,
    port,
    clockError: 0,
    get polls() {
      return polls
    },
    get introspections() {
      return introspections
    },
    issue(changes = {}) {
      const now = Math.floor(Date.now() / 1000)
      const sid = randomBytes(16).toString('base64url')
      const claims = {
        iss: url,
        sub: 'ada',
        aud: 'todo',
        exp: now + 900,
        iat: now,
        jti: randomBytes(8).toString('base64url'),
        sid,
        client_id: 'latchkey',
        scope: '',
        ...changes,
      }
      const header = { alg: 'HS256', typ: 'at+jwt', kid: sharedSecretKey(JWT_SECRET).kid }
      const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
      const signed = `${encode(header)}.${encode(claims)}`
      return { token: `${signed}.${mac(signed)}`, sid }
    },
    revoke(sid) {
      dead.add(sid)
      publish({ sids: [sid] })
    },
    revokeClient: (id) => publish({ client_id: id, issued_until: Math.floor(Date.now() / 1000) }),
    restart(newEpoch = epoch) {
      feed = `again${randomBytes(3).toString('hex')}`
      epoch = newEpoch
      entries = []
      trimmed = 0
    },
    trim() {
      // The follower's next cursor is older than what is kept.
      publish({ sids: ['somebody'] })
      trimmed = entries.length
    },
    intercept(next) {
      interceptor = next
    },
    holdIntrospections() {
      let release = () => {}
      untilReleased = new Promise((resolve) => {
        release = resolve
      })
      return release
    },
    closeReused() {
      isClosingReused = true
    },
    get closed() {
      return closed
    },
    metadata: {
      issuer: url,
      jwks_uri: `${url}/.well-known/jwks.json`,
      introspection_endpoint: `${url}/introspect`,
      revocation_feed_endpoint: `${url}/revocations`,
    },
  }
  return self
}

function mac(signed: string): string {
  return createHmac('sha256', JWT_SECRET).update(signed).digest('base64url')
}

interface Following {
  /** The URL by which the verifier reaches the feed. */
  feedUrl?: string
  maxStaleness?: number
  clock?: Clock
}

/** A verifier that follows the feed, and introspects at the server itself. */
export function startFollower(t: Test, server: FeedServer, options: Following = {}): Verifier {
  const { feedUrl = server.url, maxStaleness = 1000, clock = systemClock } = options
  const verifier = createVerifier(
    {
      issuer: server.url,
      audience: 'todo',
      keys: { secrets: [JWT_SECRET] },
      revocation: {
        mode: 'follow',
        endpoint: `${feedUrl}/revocations`,
        introspectionEndpoint: `${server.url}/introspect`,
        clientId: CLIENT.id,
        clientSecret: CLIENT.secret,
        maxStaleness,
      },
    },
    clock,
  )
  t.teardown(() => verifier.close())
  return verifier
}
