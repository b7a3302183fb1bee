import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

/** What an authenticator or the page in front of it may get wrong. */
export interface Deviation {
  origin?: string
  rpId?: string
  challenge?: string
  type?: string
  /** The PIN or the fingerprint. */
  isUserVerified?: boolean
  isUserPresent?: boolean
  counter?: number
  userHandle?: string
  /** Signs with another key. */
  key?: KeyObject
}

interface Options {
  challenge: string
  rp?: { id: string }
  rpId?: string
  user?: { id: string }
}

const FLAGS = { present: 1, verified: 4, eligible: 8, backedUp: 16, attested: 64 }

/** A passkey in software (WebAuthn Level 3 §6), as a browser and an authenticator make and use one. ES256. */
export class Authenticator {
  readonly id = randomBytes(16).toString('base64url')
  readonly #keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  #counter: number | undefined
  #userHandle = ''

  /** @param options `counter`: the authenticator counts its signatures. `isSynced`: the key is on several devices */
  constructor(
    readonly origin = 'http://latchkey.test',
    readonly options: { counter?: boolean; isSynced?: boolean } = {},
  ) {
    this.#counter = options.counter ? 0 : undefined
  }

  /** The answer to `navigator.credentials.create()`. */
  create({ challenge, rp, user }: Options, deviation: Deviation = {}) {
    this.#userHandle = user?.id ?? ''
    const { x = '', y = '' } = this.#keys.publicKey.export({ format: 'jwk' })
    const id = Buffer.from(this.id, 'base64url')
    const key = Buffer.concat([
      Buffer.from([0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32]),
      Buffer.from(x, 'base64url'),
      Buffer.from([0x22, 0x58, 32]),
      Buffer.from(y, 'base64url'),
    ])
    const attested = Buffer.concat([Buffer.alloc(16), Buffer.from([0, id.length]), id, key])
    const data = this.#data(deviation.rpId ?? rp?.id ?? '', deviation, FLAGS.attested, attested)
    const attestation = Buffer.concat([
      Buffer.from([0xa3]),
      text('fmt'),
      text('none'),
      text('attStmt'),
      Buffer.from([0xa0]),
      text('authData'),
      bytes(data),
    ])
    return {
      ...this.#envelope(),
      response: {
        clientDataJSON: this.#clientData('webauthn.create', challenge, deviation).toString('base64url'),
        attestationObject: attestation.toString('base64url'),
        transports: ['internal'],
      },
    }
  }

  /** The answer to `navigator.credentials.get()`. */
  get({ challenge, rpId }: Options, deviation: Deviation = {}) {
    const clientData = this.#clientData('webauthn.get', challenge, deviation)
    const data = this.#data(deviation.rpId ?? rpId ?? '', deviation)
    const hash = createHash('sha256').update(clientData).digest()
    return {
      ...this.#envelope(),
      response: {
        clientDataJSON: clientData.toString('base64url'),
        authenticatorData: data.toString('base64url'),
        signature: sign('sha256', Buffer.concat([data, hash]), deviation.key ?? this.#keys.privateKey).toString(
          'base64url',
        ),
        userHandle: deviation.userHandle ?? this.#userHandle,
      },
    }
  }

  #envelope() {
    return { id: this.id, rawId: this.id, type: 'public-key', clientExtensionResults: {} }
  }

  #clientData(type: string, challenge: string, deviation: Deviation): Buffer {
    const origin = deviation.origin ?? this.origin
    return Buffer.from(
      JSON.stringify({
        type: deviation.type ?? type,
        challenge: deviation.challenge ?? challenge,
        origin,
        crossOrigin: false,
      }),
    )
  }

  #data(rpId: string, deviation: Deviation, more = 0, attested = Buffer.alloc(0)): Buffer {
    if (this.#counter !== undefined) this.#counter += 1
    const { isUserPresent = true, isUserVerified = true, counter = this.#counter ?? 0 } = deviation
    const synced = this.options.isSynced ? FLAGS.eligible | FLAGS.backedUp : 0
    const flags = (isUserPresent ? FLAGS.present : 0) | (isUserVerified ? FLAGS.verified : 0) | synced | more
    const head = Buffer.alloc(5)
    head.writeUInt8(flags, 0)
    head.writeUInt32BE(counter, 1)
    return Buffer.concat([createHash('sha256').update(rpId).digest(), head, attested])
  }
}

// CBOR (RFC 8949 §3): texts of up to 23 bytes, and byte strings.
const text = (value: string) => Buffer.concat([Buffer.from([0x60 + value.length]), Buffer.from(value)])
const bytes = (value: Buffer) => Buffer.concat([Buffer.from([0x59, value.length >> 8, value.length & 255]), value])
