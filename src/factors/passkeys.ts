import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
  WebAuthnCredential,
} from '@simplewebauthn/server'

/** Where passkeys are good: the domain that they belong to, and the pages that may use them. */
export interface RelyingParty {
  /** The RP ID, a domain. */
  id: string
  /** Exact origins. */
  origins: readonly string[]
}

export interface StoredPasskey {
  /** Base64url. */
  credentialId: string
  /** The COSE key, base64url. */
  publicKey: string
  /** The last signature counter. 0: the authenticator has none. */
  counter: number
  transports: readonly string[]
  /** The key is synchronised between devices, so it is kept in software (`swk`). Otherwise one device holds it (`hwk`). */
  isSynced: boolean
}

/** Why a response was refused. The library's own message may repeat parts of the response, so nobody gets it. */
export type PasskeyFault =
  | 'challenge'
  | 'origin'
  | 'rp_id'
  | 'user_not_verified'
  | 'counter'
  | 'signature'
  | 'malformed'

type PasskeyResult<Success> = ({ isValid: true } & Success) | { isValid: false; fault: PasskeyFault }

/** The ceremonies of WebAuthn Level 3 (§7.1, §7.2) for one relying party. */
export interface Passkeys {
  registrationOptions(options: {
    challenge: string
    sub: string
    username: string
    existing: readonly StoredPasskey[]
  }): Promise<PublicKeyCredentialCreationOptionsJSON>
  verifyRegistration(
    response: unknown,
    isChallenge: (challenge: string) => boolean,
  ): Promise<PasskeyResult<{ passkey: StoredPasskey }>>
  /** @param allowed the passkeys of one account; undefined: the authenticator offers the accounts that it knows */
  authenticationOptions(
    challenge: string,
    allowed: readonly StoredPasskey[] | undefined,
  ): Promise<PublicKeyCredentialRequestOptionsJSON>
  verifyAuthentication(
    response: unknown,
    passkey: StoredPasskey,
    rules: { isChallenge: (challenge: string) => boolean; userVerification: 'required' | 'preferred' },
  ): Promise<PasskeyResult<{ counter: number; isUserVerified: boolean }>>
}

/** Milliseconds that a person has in front of the browser's dialog. */
const TIMEOUT = 300_000

/**
 * Loaded with the first passkey: the library and its parsers of attestations take 0.3 s of CPU time and 27 MB. Most instances
 * of a deployment without passkeys never load them.
 */
const load = () => import('@simplewebauthn/server')

export function createPasskeys({ id: rpID, origins }: RelyingParty): Passkeys {
  return {
    async registrationOptions({ challenge, sub, username, existing }) {
      const { generateRegistrationOptions } = await load()
      return generateRegistrationOptions({
        rpName: rpID,
        rpID,
        userName: username,
        userID: new Uint8Array(Buffer.from(sub)),
        challenge,
        timeout: TIMEOUT,
        attestationType: 'none',
        excludeCredentials: existing.map(toDescriptor),
        authenticatorSelection: { residentKey: 'preferred', userVerification: 'preferred' },
      })
    },

    async verifyRegistration(response, isChallenge) {
      const { verifyRegistrationResponse } = await load()
      try {
        const { verified, registrationInfo } = await verifyRegistrationResponse({
          response: response as RegistrationResponseJSON,
          expectedChallenge: (challenge) => isChallenge(decodeChallenge(challenge)),
          expectedOrigin: [...origins],
          expectedRPID: rpID,
          requireUserVerification: false,
        })
        if (!verified) return { isValid: false, fault: 'signature' }
        const { credential, credentialDeviceType } = registrationInfo
        return {
          isValid: true,
          passkey: {
            credentialId: credential.id,
            publicKey: Buffer.from(credential.publicKey).toString('base64url'),
            counter: credential.counter,
            transports: readTransports(credential.transports),
            isSynced: credentialDeviceType === 'multiDevice',
          },
        }
      } catch (error) {
        return { isValid: false, fault: faultOf(error) }
      }
    },

    async authenticationOptions(challenge, allowed) {
      const { generateAuthenticationOptions } = await load()
      return generateAuthenticationOptions({
        rpID,
        challenge,
        timeout: TIMEOUT,
        userVerification: allowed ? 'preferred' : 'required',
        ...(allowed && { allowCredentials: allowed.map(toDescriptor) }),
      })
    },

    async verifyAuthentication(response, passkey, { isChallenge, userVerification }) {
      const { verifyAuthenticationResponse } = await load()
      const credential: WebAuthnCredential = {
        id: passkey.credentialId,
        publicKey: new Uint8Array(Buffer.from(passkey.publicKey, 'base64url')),
        counter: passkey.counter,
      }
      try {
        const { verified, authenticationInfo } = await verifyAuthenticationResponse({
          response: response as AuthenticationResponseJSON,
          expectedChallenge: (challenge) => isChallenge(decodeChallenge(challenge)),
          expectedOrigin: [...origins],
          expectedRPID: rpID,
          credential,
          requireUserVerification: userVerification === 'required',
        })
        if (!verified) return { isValid: false, fault: 'signature' }
        const { newCounter: counter, userVerified: isUserVerified } = authenticationInfo
        return { isValid: true, counter, isUserVerified }
      } catch (error) {
        return { isValid: false, fault: faultOf(error) }
      }
    },
  }
}

/** The library encodes a challenge that is a text as base64url of its UTF-8. */
const decodeChallenge = (challenge: string): string => Buffer.from(challenge, 'base64url').toString()

const toDescriptor = ({ credentialId, transports }: StoredPasskey) => ({
  id: credentialId,
  transports: [...transports],
})

/** The browser sends them, so anything may stand there. They are hints, and a later dialog gets them back. */
function readTransports(given: unknown): string[] {
  const texts = Array.isArray(given) ? given : []
  return texts.filter((each) => typeof each === 'string' && /^[a-z-]{1,20}$/.test(each)).slice(0, 8)
}

/** The library throws an Error whose message says what is wrong. Its messages are stable within its major version. */
function faultOf(error: unknown): PasskeyFault {
  const message = error instanceof Error ? error.message : ''
  if (/challenge/i.test(message)) return 'challenge'
  if (/origin/i.test(message)) return 'origin'
  if (/RP ID/i.test(message)) return 'rp_id'
  if (/user (verification|could not be verified|not present)/i.test(message)) return 'user_not_verified'
  if (/counter/i.test(message)) return 'counter'
  return 'malformed'
}
