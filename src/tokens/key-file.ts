import { generateKeyPairSync, randomBytes } from 'node:crypto'
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { type Jwk, jwkThumbprint } from '@latchkey/verifier/jwk'
import { parseKeys, type SigningKey } from './key-ring.js'

export const algorithms = ['ES256', 'RS256', 'EdDSA', 'HS256'] as const
export type Algorithm = (typeof algorithms)[number]

/** Generates a private key. Its `kid` is its JWK thumbprint (RFC 7638), so no other key has the same `kid`. */
export function generateKey(alg: Algorithm): Jwk & { kid: string } {
  const jwk = generate(alg)
  return { ...jwk, kid: jwkThumbprint(jwk), alg, use: 'sig' }
}

function generate(alg: Algorithm): Jwk {
  switch (alg) {
    case 'HS256':
      return { kty: 'oct', k: randomBytes(32).toString('base64url') }
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
    case 'RS256':
      return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })
    case 'EdDSA':
      return generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  }
}

/** The text of a key file: a private JWK Set (RFC 7517 §5). */
export function formatKeySet(keys: readonly Jwk[]): string {
  return `${JSON.stringify({ keys }, null, 2)}\n`
}

/** Reads the keys of a file. Throws an Error that says what is wrong with the file. */
export function readKeyFile(path: string): readonly SigningKey[] {
  return parseKeys(read(path))
}

/**
 * Adds a key to a file. The first key signs. Add a key as the second one if verifiers must know it before it signs.
 * If the file does not exist, it is created with mode 0600.
 */
export function addKey(path: string, key: Jwk, position: 'first' | 'second'): void {
  change(path, (keys) => (position === 'first' ? [key, ...keys] : [...keys.slice(0, 1), key, ...keys.slice(1)]), true)
}

/** Moves the key with this `kid` to the first place, where it signs. */
export function promoteKey(path: string, kid: string): void {
  change(path, (keys, index) => {
    const at = index(kid)
    return [keys[at] as Jwk, ...keys.toSpliced(at, 1)]
  })
}

/** Removes the key with this `kid`, so that every token that it signed ends. The first key cannot be removed. */
export function removeKey(path: string, kid: string): void {
  change(path, (keys, index) => {
    const at = index(kid)
    if (at === 0) throw new Error('the first key signs: promote another key before you remove this key')
    return keys.toSpliced(at, 1)
  })
}

type Change = (keys: readonly Jwk[], index: (kid: string) => number) => Jwk[]

/**
 * Replaces the content of the file atomically: a service that reads it at the same time gets the old or the new content.
 * An existing file keeps its owner and mode, but others lose access.
 */
function change(path: string, make: Change, mayBeMissing = false): void {
  // Replace the target of a symbolic link, and keep the link.
  const target = exists(path) ? realpathSync(path) : path
  // The draft is also the lock. Without it, the second of two concurrent commands would undo the change of the first.
  const draftPath = `${target}.new`
  let draft: number
  try {
    draft = openSync(draftPath, 'wx', 0o600)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') throw new Error(`the folder ${dirname(target)} does not exist: make it first`)
    if (code !== 'EEXIST') throw error
    throw new Error(`another command is changing the file. If no other command runs, delete ${draftPath}`)
  }
  try {
    const isNew = mayBeMissing && !exists(target)
    const text = isNew ? '{"keys":[]}' : read(target)
    const kids = isNew ? [] : parseKeys(text).map(({ kid }) => kid)
    const index = (kid: string) => {
      const at = kids.indexOf(kid)
      if (at < 0) throw new Error(`the file has no key ${kid}`)
      return at
    }
    const changed = formatKeySet(make((JSON.parse(text) as { keys: Jwk[] }).keys, index))
    parseKeys(changed)
    if (!isNew) keepOwnerAndMode(target, draft)
    writeSync(draft, changed)
    fsyncSync(draft)
    renameSync(draftPath, target)
  } catch (error) {
    rmSync(draftPath, { force: true })
    throw error
  } finally {
    closeSync(draft)
  }
  syncFolder(dirname(target))
}

/** The service may run as another user than this command, and it must still be able to read the file. */
function keepOwnerAndMode(path: string, draft: number): void {
  const { uid, gid, mode } = statSync(path)
  const own = fstatSync(draft)
  if (own.uid !== uid || own.gid !== gid) fchownSync(draft, uid, gid)
  fchmodSync(draft, mode & 0o660)
}

/** Syncs the folder: without this, a power failure could undo the rename. */
function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  fsyncSync(folder)
  closeSync(folder)
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new Error(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
}
