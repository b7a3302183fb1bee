import { createPrivateKey, createPublicKey, type JsonWebKey, sign, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { sharedSecretKey, type VerificationKey } from '@latchkey/verifier/access-token'
import { type Clock, systemClock } from '@latchkey/verifier/clock'
import { type Jwk, verificationKeyFromSigningJwk } from '@latchkey/verifier/jwk'

/** A key that signs, with the key that verifies its signatures. */
export interface SigningKey {
  kid: string
  alg: VerificationKey['alg']
  /** The secret, or the private key as PEM (PKCS #8). */
  key: string | Buffer
  verification: VerificationKey
  /** The entry in the public JWK Set (RFC 7517 §5). Undefined for a shared secret, which is never published. */
  publicJwk: Jwk | undefined
}

/** The first key signs. All keys verify. */
export type SigningKeys = readonly [SigningKey, ...SigningKey[]]

/** Call `keys` for each token, because the keys may change at any time. */
export interface KeyRing {
  keys(): SigningKeys
  /** The key that signs tokens for this audience. */
  signingKey(audience: string): SigningKey
  close(): void
}

/** Shared HS256 secrets from the environment. They change only with a restart. */
export function createSecretKeyRing(secrets: readonly [string, ...string[]]): KeyRing {
  const keys = secrets.map((secret): SigningKey => {
    const verification = sharedSecretKey(secret)
    return { kid: verification.kid, alg: verification.alg, key: secret, verification, publicJwk: undefined }
  }) as unknown as SigningKeys
  return { keys: () => keys, signingKey: () => keys[0], close() {} }
}

/** Milliseconds between two reads of the file. Two equal reads in a row put a change into use, so within one second. */
const POLL_INTERVAL = 300
/** Milliseconds. If the last read is older, this process was suspended or overloaded. Then `keys` reads the file first. */
const MAX_READ_AGE = 1000

interface KeyFileOptions {
  /** Parses the text of the file. Throws an Error that says what is wrong and does not repeat a key. */
  parse?: (text: string) => SigningKeys
  onRead(keys: SigningKeys): void
  /** The file cannot be used, so the previous keys stay in use. Called once for each change of the file. */
  onInvalid(reason: string): void
  clock?: Clock
}

/** The result of reading the file: its text, or the reason why it cannot be read. */
type Snapshot = { text: string; fault?: undefined } | { text?: undefined; fault: string }

/**
 * The keys of a private JWK Set in a file (RFC 7517 §5). A change of the file takes effect by itself. `reread` applies it at once.
 *
 * The ring polls the file and compares its text, and does not use `fs.watch`. A watch misses a file that is replaced, or
 * reached through swapped links (a mounted Kubernetes secret). It also misses a change between the first read and its start.
 *
 * @throws Error if the file cannot be used at the start
 */
export function createFileKeyRing(path: string, options: KeyFileOptions): KeyRing & { reread(): void } {
  const { parse = parseKeys, onRead, onInvalid, clock = systemClock } = options
  let readAt = clock.now()
  const first = readFileSync(path, 'utf8')
  let keys = parse(first)
  let active = textSnapshot(first)
  let previous = active

  function activate(snapshot: Snapshot): void {
    active = snapshot
    try {
      if (snapshot.fault !== undefined) throw new Error(snapshot.fault)
      keys = parse(snapshot.text)
      onRead(keys)
    } catch (error) {
      onInvalid((error as Error).message)
    }
  }

  let isReading = false
  const timer = setInterval(async () => {
    if (isReading) return
    isReading = true
    const began = clock.now()
    const snapshot = await readFile(path, 'utf8').then(textSnapshot, faultSnapshot)
    isReading = false
    readAt = began
    // A read may see half of a file that is being written in place. Two equal reads mean that the write is complete.
    const isSettled = isSame(snapshot, previous)
    previous = snapshot
    if (isSettled && !isSame(snapshot, active)) activate(snapshot)
  }, POLL_INTERVAL).unref()

  function readNow(): Snapshot {
    readAt = clock.now()
    try {
      return textSnapshot(readFileSync(path, 'utf8'))
    } catch (error) {
      return faultSnapshot(error as NodeJS.ErrnoException)
    }
  }

  function reread(): void {
    previous = readNow()
    activate(previous)
  }

  function current(): SigningKeys {
    // If a read hangs, the disk hangs. A synchronous read would then block the whole process.
    if (!isReading && clock.elapsedSince(readAt) > MAX_READ_AGE) {
      previous = readNow()
      if (!isSame(previous, active)) activate(previous)
    }
    return keys
  }

  return { keys: current, signingKey: () => current()[0], reread, close: () => clearInterval(timer) }
}

const textSnapshot = (text: string): Snapshot => ({ text })
const faultSnapshot = ({ code }: NodeJS.ErrnoException): Snapshot => ({ fault: `the key file cannot be read: ${code}` })
const isSame = (a: Snapshot, b: Snapshot): boolean => a.text === b.text && a.fault === b.fault

/**
 * Parses a private JWK Set (RFC 7517 §5). Each key is pinned to the one algorithm of its type (RFC 8725 §3.1).
 *
 * @throws Error that says which key is invalid and why
 */
export function parseKeys(text: string): SigningKeys {
  let jwks: unknown
  try {
    jwks = (JSON.parse(text) as { keys?: unknown }).keys
  } catch {
    throw new Error('the key file is not JSON')
  }
  if (!Array.isArray(jwks) || jwks.length === 0)
    throw new Error('the key file has no list "keys", or the list is empty')
  const keys = jwks.map((jwk: Jwk, index) => {
    try {
      return parseKey(jwk)
    } catch (error) {
      throw new Error(`key ${index + 1} of ${jwks.length}: ${(error as Error).message}`)
    }
  })
  if (new Set(keys.map(({ kid }) => kid)).size < keys.length) throw new Error('two keys have the same kid')
  return keys as unknown as SigningKeys
}

function parseKey(jwk: Jwk): SigningKey {
  if (typeof jwk !== 'object' || jwk === null) throw new Error('it is not an object')
  const verification = verificationKeyFromSigningJwk(jwk)
  const { kid, alg } = verification
  if (verification.alg === 'HS256') return { kid, alg, key: verification.secret, verification, publicJwk: undefined }
  if (typeof jwk.d !== 'string') throw new Error('it is a public key: add the private key, which signs')
  const key = readPrivateKey(jwk)
  // Some libraries read only the private half and do not check the public half. Then the service would sign tokens that
  // nobody can verify.
  if (!isPair(key, verification.publicKey)) throw new Error('the private key and the public key do not belong together')
  const { kty, crv, x, y, n, e } = jwk
  const members = Object.entries({ kty, crv, x, y, n, e, kid, alg, use: 'sig' }).filter(
    ([, value]) => value !== undefined,
  )
  return { kid, alg, key, verification, publicJwk: Object.fromEntries(members) as Jwk }
}

function readPrivateKey(jwk: Jwk): string {
  try {
    const key = createPrivateKey({ key: jwk as JsonWebKey, format: 'jwk' })
    return key.export({ type: 'pkcs8', format: 'pem' }).toString()
  } catch {
    throw new Error('the private key cannot be read')
  }
}

function isPair(privateKey: string, publicKey: string): boolean {
  const probe = Buffer.from('probe')
  const digest = createPublicKey(publicKey).asymmetricKeyType === 'ed25519' ? null : 'sha256'
  try {
    return verify(digest, probe, publicKey, sign(digest, probe, privateKey))
  } catch {
    return false
  }
}
