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

/** A new private key; its `kid` is its RFC 7638 thumbprint, so no other key has it. */
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

/** The private JWK Set of these keys, as a key file holds it. */
export function writeKeySet(keys: readonly Jwk[]): string {
  return `${JSON.stringify({ keys }, null, 2)}\n`
}

/** The keys of a file. Throws an Error that says in words what is wrong with it. */
export function readKeyFile(path: string): readonly SigningKey[] {
  return parseKeys(read(path))
}

/**
 * Adds a key to a file: to sign from now on, or second, to be known before it signs. Alone in its file it signs.
 * Makes the file where there is none, for its owner alone.
 */
export function addKey(path: string, key: Jwk, position: 'first' | 'second'): void {
  change(path, (keys) => (position === 'first' ? [key, ...keys] : [...keys.slice(0, 1), key, ...keys.slice(1)]), true)
}

/** Makes the key of this kid the first, which signs. */
export function promoteKey(path: string, kid: string): void {
  change(path, (keys, index) => {
    const at = index(kid)
    return [keys[at] as Jwk, ...keys.toSpliced(at, 1)]
  })
}

/** Takes the key of this kid away: every token that it signed ends. The one that signs now must be replaced before. */
export function removeKey(path: string, kid: string): void {
  change(path, (keys, index) => {
    const at = index(kid)
    if (at === 0) throw new Error('the first key signs: promote another before you remove it')
    return keys.toSpliced(at, 1)
  })
}

type Change = (keys: readonly Jwk[], index: (kid: string) => number) => Jwk[]

/**
 * Replaces the file by what `make` makes of it, whole or not at all: a service that reads meanwhile sees the one or the
 * other. An existing file keeps its owner and mode, less whatever others may do with it.
 */
function change(path: string, make: Change, mayBeMissing = false): void {
  // A link stays a link.
  const target = exists(path) ? realpathSync(path) : path
  // It is also the lock: of two commands at once, the second would undo what the first has done.
  const draftPath = `${target}.new`
  let draft: number
  try {
    draft = openSync(draftPath, 'wx', 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new Error(`another command is changing the file; if none is, delete ${draftPath}`)
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
    const changed = writeKeySet(make((JSON.parse(text) as { keys: Jwk[] }).keys, index))
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

/** The service may run as another user than who runs this command: it must still be able to read the file. */
function keepOwnerAndMode(path: string, draft: number): void {
  const { uid, gid, mode } = statSync(path)
  const own = fstatSync(draft)
  if (own.uid !== uid || own.gid !== gid) fchownSync(draft, uid, gid)
  fchmodSync(draft, mode & 0o660)
}

/** The new name of a file outlives a power cut when its folder has been written. */
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
