import { createHmac, createPrivateKey, type JsonWebKey, type KeyObject, sign } from 'node:crypto'
import type { AccessTokenClaims, TokenErrorCode } from '@latchkey/verifier/access-token'
import { jwkThumbprint } from '@latchkey/verifier/jwk'
import type { PrivateKey } from '../keys.js'
import { withGenuineJti } from '../stamped.js'

/** A token with one defect. Unless the defect is in the signature, the signature is genuine. */
export interface HostileToken {
  /** The id of the abuse case. */
  id: string
  what: string
  token: string
  /** The code of the refusal, which shows that this defect caused it. */
  code: TokenErrorCode
}

/** An object becomes JSON. Text and bytes stay unchanged. */
export type TokenPart = object | string | Buffer

export interface TokenParts {
  header?: TokenPart
  claims?: TokenPart
  secret?: string | Buffer
  hash?: 'sha256' | 'sha384' | 'sha512'
}

/** The claims of a person's token: a client's own token has no session. */
export type SessionClaims = AccessTokenClaims & { sid: string }

/**
 * Writes tokens with the real secret for a live session. An unchanged token is genuine. Changed claims get the `jti`
 * that the service would compute, so that the change is the only defect.
 */
export class Forger {
  readonly header: { alg: string; typ: string; kid: string }
  readonly #key: KeyObject | undefined
  readonly #isStamped: boolean

  constructor(
    readonly secret: string,
    /** The claims of a live token. */
    readonly claims: SessionClaims,
    /** The address of a server that nobody should call. */
    readonly canary: string,
    /** An Ed25519 key that signs instead of the secret. */
    key?: PrivateKey,
    typ = 'at+jwt',
  ) {
    this.header = { alg: key?.alg ?? 'HS256', typ, kid: key?.kid ?? kidOf(secret) }
    this.#key = key && createPrivateKey({ key: key as JsonWebKey, format: 'jwk' })
    this.#isStamped = withGenuineJti(JSON.stringify(claims)) === JSON.stringify(claims)
  }

  token({ header = this.header, claims = this.claims, secret, hash }: TokenParts = {}): string {
    return this.signed(`${base64url(header)}.${base64url(this.#restamped(claims))}`, secret, hash)
  }

  #restamped(claims: TokenPart): TokenPart {
    if (!this.#isStamped || Buffer.isBuffer(claims)) return claims
    const text = typeof claims === 'string' ? claims : JSON.stringify(claims)
    // A given `jti` is the defect.
    return text.includes(`"jti":"${this.claims.jti}"`) ? withGenuineJti(text) : claims
  }

  /** Signs any text. */
  signed(input: string, secret?: string | Buffer, hash?: string): string {
    if (this.#key && secret === undefined && hash === undefined) {
      return `${input}.${sign(null, Buffer.from(input), this.#key).toString('base64url')}`
    }
    return `${input}.${createHmac(hash ?? 'sha256', secret ?? this.secret)
      .update(input)
      .digest('base64url')}`
  }

  withHeader(changes: object, parts: TokenParts = {}): string {
    return this.token({ ...parts, header: { ...this.header, ...changes } })
  }

  withClaims(changes: object, parts: TokenParts = {}): string {
    return this.token({ ...parts, claims: { ...this.claims, ...changes } })
  }
}

/** The kid of a shared secret of any strength. */
export function kidOf(secret: string): string {
  return jwkThumbprint({ kty: 'oct', k: base64url(secret) })
}

/** A group of hostile tokens. `as` sets the id and code of the tokens that follow. */
export function collectTokens(list: HostileToken[]) {
  return (id: string, code: TokenErrorCode) => (what: string, token: string) => {
    list.push({ id, what: visible(what), token, code })
  }
}

/** TAP is a protocol of lines, so names contain no line break. */
function visible(text: string): string {
  return text.replace(/[^ -~…]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

export function base64url(part: TokenPart): string {
  return Buffer.from(Buffer.isBuffer(part) || typeof part === 'string' ? part : JSON.stringify(part)).toString(
    'base64url',
  )
}

export function withoutMember(object: object, name: string): object {
  return Object.fromEntries(Object.entries(object).filter(([key]) => key !== name))
}

/** The object as JSON with this text as the value of a member. `JSON.stringify` could not write it. */
export function withRawMember(object: object, name: string, text: string): string {
  const mark = 'a mark that stands nowhere else'
  return JSON.stringify({ ...object, [name]: mark }).replace(`"${mark}"`, text)
}

/** The object as JSON with additional members as text, before or after its own. */
export const withMembersBefore = (object: object, members: string) => `{${members},${JSON.stringify(object).slice(1)}`
export const withMembersAfter = (object: object, members: string) =>
  `${JSON.stringify(object).slice(0, -1)},${members}}`

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/**
 * Other spellings of the same bytes: the spare bits of the last character are not zero, and a lax decoder ignores them.
 */
export function otherSpellings(encoded: string): string[] {
  const spare = { 2: 4, 3: 2 }[encoded.length % 4] ?? 0
  const last = ALPHABET.indexOf(encoded.at(-1) as string)
  return Array.from({ length: 2 ** spare - 1 }, (_, i) => encoded.slice(0, -1) + ALPHABET[last + i + 1])
}
