import { createPrivateKey, type JsonWebKey } from 'node:crypto'
import { readFileSync, unwatchFile, watchFile } from 'node:fs'
import { sharedSecretKey, type VerificationKey } from '@latchkey/verifier/access-token'
import { type Jwk, verificationKeyFromJwk } from '@latchkey/verifier/jwk'

/** A key that signs, and what verifies its signatures. */
export interface SigningKey {
  kid: string
  alg: VerificationKey['alg']
  /** The secret, or the private key as PEM (PKCS #8). */
  key: string | Buffer
  verification: VerificationKey
  /** For the JWKS. A shared secret has none, ever. */
  publicJwk: Jwk | undefined
}

/** The keys of one moment: the first signs, all verify. */
export type Keys = readonly [SigningKey, ...SigningKey[]]

/** The keys of now. What was read once may be replaced: ask each time. */
export interface KeyRing {
  keys(): Keys
  close(): void
}

/** Shared HS256 secrets, from the environment: they change with a restart. */
export function ringOfSecrets(secrets: readonly [string, ...string[]]): KeyRing {
  const keys = secrets.map((secret): SigningKey => {
    const verification = sharedSecretKey(secret)
    return { kid: verification.kid, alg: verification.alg, key: secret, verification, publicJwk: undefined }
  }) as unknown as Keys
  return { keys: () => keys, close() {} }
}

/** Looked at so often, in milliseconds: a mounted Kubernetes secret changes by a swap of links, which no watch sees. */
const POLL_INTERVAL = 500

export interface KeyFileEvents {
  onRead(keys: Keys): void
  /** The file is broken, and the keys before stay. The message never repeats a key. */
  onBroken(message: string): void
}

/**
 * The private JWK Set of a file, read again when it changes and when `reread` is called.
 *
 * @throws Error where the file cannot be used at the start
 */
export function ringOfFile(path: string, { onRead, onBroken }: KeyFileEvents): KeyRing & { reread(): void } {
  let text = readFileSync(path, 'utf8')
  let keys = parseKeys(text)

  function reread(): void {
    try {
      const now = readFileSync(path, 'utf8')
      if (now === text) return
      keys = parseKeys(now)
      text = now
      onRead(keys)
    } catch (error) {
      onBroken((error as Error).message)
    }
  }
  watchFile(path, { interval: POLL_INTERVAL, persistent: false }, reread)
  return { keys: () => keys, reread, close: () => unwatchFile(path, reread) }
}

/**
 * The keys of a private JWK Set, each pinned to the one algorithm of its kind.
 *
 * @throws Error that says which key is at fault and why
 */
export function parseKeys(text: string): Keys {
  let jwks: unknown
  try {
    jwks = (JSON.parse(text) as { keys?: unknown }).keys
  } catch {
    throw new Error('the key file is not JSON')
  }
  if (!Array.isArray(jwks) || jwks.length === 0) throw new Error('the key file has no list "keys" with a key in it')
  const keys = jwks.map((jwk: Jwk, index) => {
    try {
      return parseKey(jwk)
    } catch (error) {
      throw new Error(`key ${index + 1} of ${jwks.length}: ${(error as Error).message}`)
    }
  })
  if (new Set(keys.map(({ kid }) => kid)).size < keys.length) throw new Error('two keys have the same kid')
  return keys as unknown as Keys
}

function parseKey(jwk: Jwk): SigningKey {
  if (typeof jwk !== 'object' || jwk === null) throw new Error('is no object')
  const verification = verificationKeyFromJwk(jwk)
  const { kid, alg } = verification
  if (verification.alg === 'HS256') return { kid, alg, key: verification.secret, verification, publicJwk: undefined }
  if (typeof jwk.d !== 'string') throw new Error('is a public key: the private one is needed to sign')
  let key: string
  try {
    key = createPrivateKey({ key: jwk as JsonWebKey, format: 'jwk' })
      .export({ type: 'pkcs8', format: 'pem' })
      .toString()
  } catch {
    throw new Error('the private key cannot be read')
  }
  const { kty, crv, x, y, n, e } = jwk
  const members = Object.entries({ kty, crv, x, y, n, e, kid, alg, use: 'sig' }).filter(
    ([, value]) => value !== undefined,
  )
  return { kid, alg, key, verification, publicJwk: Object.fromEntries(members) as Jwk }
}
