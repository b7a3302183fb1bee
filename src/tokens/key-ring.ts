import { createPrivateKey, createPublicKey, type JsonWebKey, sign, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { sharedSecretKey, type VerificationKey } from '@latchkey/verifier/access-token'
import { type Clock, systemClock } from '@latchkey/verifier/clock'
import { type Jwk, verificationKeyFromSigningJwk } from '@latchkey/verifier/jwk'

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
export function createSecretKeyRing(secrets: readonly [string, ...string[]]): KeyRing {
  const keys = secrets.map((secret): SigningKey => {
    const verification = sharedSecretKey(secret)
    return { kid: verification.kid, alg: verification.alg, key: secret, verification, publicJwk: undefined }
  }) as unknown as Keys
  return { keys: () => keys, close() {} }
}

/** How often the file is looked at, in milliseconds. What two looks in a row find is in use, so within a second. */
const LOOK_INTERVAL = 300
/** Without a look for so long, this process was stopped or starved: the next who asks for the keys looks first. */
const LONGEST_UNSEEN = 1000

export interface KeyFileOptions {
  /** The keys of the file's text; throws an Error that says in words what is wrong, without repeating a key. */
  parse?: (text: string) => Keys
  onRead(keys: Keys): void
  /** The file is broken, and the keys before stay. Told once, not at every look. */
  onBroken(reason: string): void
  clock?: Clock
}

/** What a look at the file finds: its text, or why there is none. */
type Snapshot = { text: string; fault?: undefined } | { text?: undefined; fault: string }

/**
 * The private JWK Set of a file, read again when it changes and, at once, when `reread` is called.
 *
 * It is read again and again, and what it says is compared: a file that is replaced, or reached by links that are swapped
 * (a mounted Kubernetes secret), changes under a watch that sees nothing, and a change between the first read and the
 * start of a watch is missed for good.
 *
 * @throws Error where the file cannot be used at the start
 */
export function createFileKeyRing(path: string, options: KeyFileOptions): KeyRing & { reread(): void } {
  const { parse = parseKeys, onRead, onBroken, clock = systemClock } = options
  let lookedAt = clock.now()
  const first = readFileSync(path, 'utf8')
  let keys = parse(first)
  let active = found(first)
  let previous = active

  function use(snapshot: Snapshot): void {
    active = snapshot
    try {
      if (snapshot.fault !== undefined) throw new Error(snapshot.fault)
      keys = parse(snapshot.text)
      onRead(keys)
    } catch (error) {
      onBroken((error as Error).message)
    }
  }

  let isLooking = false
  const timer = setInterval(async () => {
    if (isLooking) return
    isLooking = true
    const began = clock.now()
    const snapshot = await readFile(path, 'utf8').then(found, notFound)
    isLooking = false
    lookedAt = began
    // Whoever writes the file in place leaves half of it to be read in between: what two looks agree on has been written.
    const isSettled = isSame(snapshot, previous)
    previous = snapshot
    if (isSettled && !isSame(snapshot, active)) use(snapshot)
  }, LOOK_INTERVAL).unref()

  function lookNow(): Snapshot {
    lookedAt = clock.now()
    try {
      return found(readFileSync(path, 'utf8'))
    } catch (error) {
      return notFound(error as NodeJS.ErrnoException)
    }
  }

  function reread(): void {
    previous = lookNow()
    use(previous)
  }

  function current(): Keys {
    // A look that hangs is the disk's: to look once more would hang this process with it.
    if (!isLooking && clock.elapsedSince(lookedAt) > LONGEST_UNSEEN) {
      previous = lookNow()
      if (!isSame(previous, active)) use(previous)
    }
    return keys
  }

  return { keys: current, reread, close: () => clearInterval(timer) }
}

const found = (text: string): Snapshot => ({ text })
const notFound = ({ code }: NodeJS.ErrnoException): Snapshot => ({ fault: `the key file cannot be read: ${code}` })
const isSame = (a: Snapshot, b: Snapshot): boolean => a.text === b.text && a.fault === b.fault

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
  const verification = verificationKeyFromSigningJwk(jwk)
  const { kid, alg } = verification
  if (verification.alg === 'HS256') return { kid, alg, key: verification.secret, verification, publicJwk: undefined }
  if (typeof jwk.d !== 'string') throw new Error('is a public key: the private one is needed to sign')
  const key = readPrivateKey(jwk)
  // Some libraries read the private half alone, and the public one that stands beside it goes unchecked: tokens would then
  // be signed that nobody can verify.
  if (!isPair(key, verification.publicKey)) throw new Error('the private key is not the one of the public key')
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
