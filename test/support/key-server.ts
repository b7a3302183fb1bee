import { readFileSync, writeFileSync } from 'node:fs'
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Server } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import { jwksOf, makeSigner, type Signer, sign } from './assertions.js'
import { makeCertificates } from './servers/certificates.js'
import { temporaryFolder } from './service.js'

/** Listens on a free port of 127.0.0.1 until the test ends. Returns the port. */
export async function listen(t: Test, server: Server & { closeAllConnections?(): void }): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections?.()
    server.close()
  })
  return (server.address() as { port: number }).port
}

/** A listener that may wait. When it fails, as when the client ends its request early, the connection closes. */
export function listener(
  answer: (request: IncomingMessage, response: ServerResponse) => Promise<unknown>,
): RequestListener {
  return (request, response) => void answer(request, response).catch(() => response.destroy())
}

/** A server of keys over HTTP, and how often it was called. */
export async function startKeyServer(t: Test, listener: RequestListener): Promise<{ url: string; hits(): number }> {
  let hits = 0
  const server = createHttpServer((request, response) => {
    hits += 1
    listener(request, response)
  })
  return { url: `http://127.0.0.1:${await listen(t, server)}`, hits: () => hits }
}

/** What a Kubernetes API server does for the tokens of its service accounts. */
export interface ApiServer {
  /** The `iss` of its tokens. */
  issuer: string
  caFile: string
  /** The token of the service account that may read the keys. The server asks for it. */
  bearerFile: string
  /** The token of a service account, as the kubelet projects it. */
  token(serviceAccount: string, changes?: object): Promise<string>
  /** Signs with a new key from now on, an RSA key. The previous keys verify no more. */
  rotateKey(): Promise<void>
  /** Serves with a certificate of another authority from now on, and gives the new authority. */
  rotateAuthority(): { ca: string }
  /** Asks for this bearer token from now on. */
  askFor(bearer: string): void
  /** The paths that were asked for, with the status of each answer. */
  requests: string[]
}

/** A bearer token as that of a service account: a JWT. */
export const bearerNamed = (name: string) =>
  [{ alg: 'RS256' }, { sub: name }, 'signature']
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.')

export async function startApiServer(t: Test, iss?: string): Promise<ApiServer> {
  const folder = temporaryFolder(t)
  const { ca, certificate, key } = makeCertificates(folder)
  const bearerFile = join(folder, 'token')
  let bearer = bearerNamed('first')
  writeFileSync(bearerFile, `${bearer}\n`)
  let signer: Signer = await makeSigner('ES256')
  const requests: string[] = []

  const server = createHttpsServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (request, response) => {
    const isKnown = request.headers.authorization === `Bearer ${bearer}`
    const bodies: Record<string, object> = {
      '/.well-known/openid-configuration': { issuer, jwks_uri: `${address}/openid/v1/jwks` },
      '/openid/v1/jwks': jwksOf(signer),
    }
    const body = bodies[request.url ?? '']
    const status = !isKnown ? 401 : body ? 200 : 404
    requests.push(`${status} ${request.url}`)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body ?? {}))
  })
  const address = `https://localhost:${await listen(t, server)}`
  const issuer = iss ?? address

  return {
    issuer,
    caFile: ca,
    bearerFile,
    requests,
    token(serviceAccount, changes = {}) {
      const [namespace, name] = serviceAccount.split('/')
      const now = Math.floor(Date.now() / 1000)
      return sign(
        signer,
        {
          aud: ['http://latchkey.test'],
          exp: now + 3600,
          iat: now,
          iss: issuer,
          jti: '0f4b1e0c-5f0c-4d8e-8d5a-7f3f1f0f9b11',
          'kubernetes.io': {
            namespace,
            node: { name: 'node-1', uid: 'a1' },
            pod: { name: `${name}-0`, uid: 'b2' },
            serviceaccount: { name, uid: 'c3' },
          },
          nbf: now,
          sub: `system:serviceaccount:${namespace}:${name}`,
          ...changes,
        },
        // Kubernetes writes no typ.
        { typ: undefined },
      )
    },
    async rotateKey() {
      signer = await makeSigner('RS256')
    },
    rotateAuthority() {
      const next = makeCertificates(temporaryFolder(t))
      server.setSecureContext({ cert: readFileSync(next.certificate), key: readFileSync(next.key) })
      server.closeAllConnections()
      return next
    },
    askFor(next) {
      bearer = next
    },
  }
}
