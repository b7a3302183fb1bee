import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import { isClientId } from '../clients/clients.js'
import { CLAIM_NAME_RULE, isAccountClaimName } from '../tokens/account-claim-name.js'
import { parseKeys, type SigningKeys } from '../tokens/key-ring.js'
import { list } from './list.js'
import { findWeakness } from './weak-secrets.js'

// A parser turns the text of a setting into its value, or throws an Error that says what to write. No error repeats the
// text: it may be a secret.

export const MAKE_SECRET = 'make one with  openssl rand -base64 48'
export const MAKE_KEY = 'make one with  latchkey keys generate'

export function text(value: string): string {
  return value
}

/** A host name or an address. */
export function listenHost(value: string): string {
  if (value.includes('[')) throw new Error('write an IPv6 address without brackets, such as ::')
  return value
}

export function positive(parse: (text: string) => number) {
  return (text: string): number => {
    const value = parse(text)
    if (value <= 0) throw new Error('must be more than 0')
    return value
  }
}

export function wholeNumber(min: number, max: number) {
  return (text: string): number => {
    const value = Number(text)
    // Kubernetes sets MANAGEMENT_PORT for a service that is called management.
    if (text.startsWith('tcp://')) {
      throw new Error('is the link of a Kubernetes service: set enableServiceLinks: false in the pod')
    }
    if (!/^\d{1,9}$/.test(text) || value < min || value > max) {
      throw new Error(`write a whole number from ${min} to ${max}`)
    }
    return value
  }
}

export function oneOf<const Choice extends string>(...choices: Choice[]) {
  return (text: string): Choice => {
    const choice = choices.find((candidate) => candidate === text)
    if (!choice) throw new Error(`write one of: ${choices.join(', ')}`)
    return choice
  }
}

/** The MAC or HMAC keys of a comma-separated list. RFC 7518 §3.2: a key is at least as long as the hash. */
export function macKeys(text: string): [string, ...string[]] {
  const secrets = list(text)
  for (const [index, secret] of secrets.entries()) {
    const which = secrets.length > 1 ? `secret ${index + 1} of ${secrets.length}` : 'the secret'
    if (Buffer.byteLength(secret) < 32) {
      throw new Error(`${which} is shorter than 32 bytes: ${MAKE_SECRET}`)
    }
  }
  if (new Set(secrets).size < secrets.length) throw new Error('a secret is given twice: remove one')
  return secrets
}

/** The path of a key file and its shared secrets. The key ring reads the file again: this reports its faults at the start. */
export function keyFile(path: string): { path: string; secrets: Buffer[] } {
  try {
    return { path, secrets: sharedSecrets(parseKeys(readFileSync(path, 'utf8'))) }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new Error(code === undefined ? message : `the file cannot be read: ${code}`)
  }
}

/**
 * Reads a key file for a service in production, which refuses shared secrets that can be guessed.
 *
 * @throws Error that says what is wrong with the file
 */
export function parseProductionKeys(text: string): SigningKeys {
  const keys = parseKeys(text)
  const weakness = findWeakness(sharedSecrets(keys))
  if (weakness) throw new Error(`a shared secret of the key file can be guessed: ${weakness}: ${MAKE_KEY}`)
  return keys
}

function sharedSecrets(keys: SigningKeys): Buffer[] {
  return keys.flatMap(({ alg, key }) => (alg === 'HS256' ? [Buffer.from(key)] : []))
}

/** IP addresses and CIDR ranges. */
export function addressRanges(text: string): string[] {
  const ranges = list(text)
  for (const range of ranges) {
    const [address = '', bits, ...rest] = range.split('/')
    const version = isIP(address)
    const isBits = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
    if (!version || !isBits || rest.length > 0) {
      throw new Error('write addresses or ranges such as 10.0.0.0/8, comma-separated')
    }
    if (bits === '0') throw new Error('a range of all addresses would trust every caller: write those of your proxies')
  }
  return ranges
}

export function accountClaims(text: string): string[] {
  const names = list(text)
  const wrong = names.find((name) => !isAccountClaimName(name))
  if (wrong !== undefined) throw new Error(`${JSON.stringify(wrong)} cannot be such a claim: ${CLAIM_NAME_RULE}`)
  if (new Set(names).size < names.length) throw new Error('a claim is given twice: remove one')
  return names
}

/** A domain that browsers accept as RP ID (WebAuthn §5.1.2): never an address. */
export function domain(text: string): string {
  if (!/^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/.test(text) || isIP(text)) {
    throw new Error('write a domain in small letters, without scheme and port, such as example.com')
  }
  return text
}

/** Origins of pages that may use passkeys: browsers offer passkeys on HTTPS and on localhost only. */
export function webOrigins(text: string): string[] {
  const origins = list(text)
  for (const origin of origins) {
    const url = URL.canParse(origin) ? new URL(origin) : undefined
    const isSecure = url?.protocol === 'https:' || url?.hostname === 'localhost' || url?.hostname.endsWith('.localhost')
    if (url?.origin !== origin || !isSecure) {
      throw new Error('write origins such as https://app.example.com, comma-separated, without a path')
    }
  }
  return origins
}

/** Origins of pages, as browsers write them. */
export function corsOrigins(text: string): string[] {
  const origins = list(text)
  for (const origin of origins) {
    if (origin.includes('*')) throw new Error('an origin has no *: write each origin, such as https://app.example.com')
    const url = URL.canParse(origin) ? new URL(origin) : undefined
    if (!url || !/^https?:$/.test(url.protocol) || url.origin !== origin) {
      throw new Error(
        'write origins such as https://app.example.com, comma-separated: in lower case, without a path, a slash at the end or a default port',
      )
    }
  }
  return origins
}

export function clientCredentials(text: string): { id: string; secret: string } {
  const colon = text.indexOf(':')
  const [id, secret] = [text.slice(0, colon), text.slice(colon + 1)]
  if (id === FIRST_PARTY_CLIENT_ID) throw new Error('the id latchkey belongs to the service itself: write another')
  if (colon < 1 || !isClientId(id)) {
    throw new Error('write ID:SECRET, with an id of letters, digits, dot, dash and underscore')
  }
  if (Buffer.byteLength(secret) < 32) {
    throw new Error(`the secret is shorter than 32 bytes: ${MAKE_SECRET}`)
  }
  if (!/^[!-~]+$/.test(secret)) throw new Error('the secret must be printable ASCII without spaces')
  return { id, secret }
}
