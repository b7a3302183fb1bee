import type {
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
} from '@simplewebauthn/server'
import type { Ticket, TicketPurpose, Tickets } from '../tickets/tickets.js'
import type { Factors, OwnedPasskey } from './factor.js'
import type { PasskeyFault, Passkeys, StoredPasskey } from './passkeys.js'

/** `unknown`: no account has the passkey, or another account has it. `used`: the challenge was answered before. */
type CeremonyFault = PasskeyFault | 'unknown' | 'used'

type PasskeyProof =
  | { isValid: true; passkey: OwnedPasskey; fault?: undefined }
  /** `sub` is the account of the passkey, if it is known. */
  | { isValid: false; fault: CeremonyFault; sub: string | undefined }

/** The ceremonies of WebAuthn, with a challenge that no store holds and that is good once. */
export interface PasskeyCeremonies {
  registrationOptions(account: { id: string; username: string }): Promise<PublicKeyCredentialCreationOptionsJSON>
  /** The passkey that the browser created for this account. Call {@link Factors.addPasskey} with it. */
  register(
    account: { id: string },
    response: unknown,
  ): Promise<{ isValid: true; passkey: StoredPasskey } | { isValid: false; fault: CeremonyFault }>
  /** @param sub only passkeys of this account; undefined: the person chooses the account in the browser */
  authenticationOptions(sub: string | undefined): Promise<PublicKeyCredentialRequestOptionsJSON>
  /** The account of the passkey that a response names, if its challenge is fresh. Nothing is proved yet. */
  findOwner(response: unknown): Promise<string | undefined>
  /**
   * Whose passkey signed. The challenge and the counter are then used.
   *
   * @param sub the passkey must belong to this account. Undefined: it may belong to any, and must have verified its user
   */
  authenticate(response: unknown, sub: string | undefined): Promise<PasskeyProof>
}

/** Seconds for which a challenge can be answered. */
const CHALLENGE_LIFETIME = 300

export function createPasskeyCeremonies(factors: Factors, passkeys: Passkeys, tickets: Tickets): PasskeyCeremonies {
  return {
    async registrationOptions({ id: sub, username }) {
      const challenge = tickets.issue('passkey registration', { sub }, CHALLENGE_LIFETIME)
      return passkeys.registrationOptions({ challenge, sub, username, existing: await factors.passkeys(sub) })
    },

    async register({ id: sub }, response) {
      const ticket = readChallenge(response, 'passkey registration', tickets)
      if (ticket?.sub !== sub) return { isValid: false, fault: 'challenge' }
      const result = await passkeys.verifyRegistration(response, isAnswerTo(ticket))
      if (!result.isValid) return result
      return (await tickets.use(ticket)) ? result : { isValid: false, fault: 'used' }
    },

    async authenticationOptions(sub) {
      const challenge = tickets.issue('passkey challenge', sub === undefined ? {} : { sub }, CHALLENGE_LIFETIME)
      return passkeys.authenticationOptions(challenge, sub === undefined ? undefined : await factors.passkeys(sub))
    },

    async findOwner(response) {
      if (!readChallenge(response, 'passkey challenge', tickets)) return undefined
      return (await factors.findPasskey(textOf(response, 'id')))?.sub
    },

    async authenticate(response, sub) {
      const refuse = (fault: CeremonyFault, owner = sub): PasskeyProof => ({ isValid: false, fault, sub: owner })
      // The challenge is checked first: a stranger without a fresh one costs no query.
      const ticket = readChallenge(response, 'passkey challenge', tickets)
      if (!ticket) return refuse('challenge')
      const passkey = await factors.findPasskey(textOf(response, 'id'))
      if (!passkey || (sub !== undefined && passkey.sub !== sub)) return refuse('unknown')
      if (ticket.sub !== undefined && ticket.sub !== passkey.sub) return refuse('challenge', passkey.sub)
      // WebAuthn §7.2 step 6: the account that the authenticator names is the owner.
      const userHandle = textOf(memberOf(response, 'response'), 'userHandle')
      if (userHandle !== '' && userHandle !== Buffer.from(passkey.sub).toString('base64url')) {
        return refuse('unknown', passkey.sub)
      }
      const result = await passkeys.verifyAuthentication(response, passkey, {
        isChallenge: isAnswerTo(ticket),
        // Without a password before it, the passkey is both factors: what the person has, and a PIN or a fingerprint.
        userVerification: sub === undefined || ticket.sub === undefined ? 'required' : 'preferred',
      })
      if (!result.isValid) return refuse(result.fault, passkey.sub)
      if (!(await tickets.use(ticket))) return refuse('used', passkey.sub)
      if (!(await factors.usePasskey(passkey.id, result.counter))) return refuse('counter', passkey.sub)
      return { isValid: true, passkey }
    },
  }
}

/** The ticket that a response answers: it is the challenge. */
function readChallenge<Purpose extends TicketPurpose>(
  response: unknown,
  purpose: Purpose,
  tickets: Tickets,
): (Ticket<Purpose> & { text: string }) | undefined {
  try {
    const clientData = textOf(memberOf(response, 'response'), 'clientDataJSON')
    const { challenge } = JSON.parse(Buffer.from(clientData, 'base64url').toString())
    const text = Buffer.from(String(challenge), 'base64url').toString()
    const ticket = tickets.read(purpose, text)
    return ticket && Object.assign(ticket, { text })
  } catch {
    return undefined
  }
}

const isAnswerTo =
  ({ text }: { text: string }) =>
  (challenge: string) =>
    challenge === text

const memberOf = (value: unknown, name: string): unknown => (value as Record<string, unknown> | undefined)?.[name]

function textOf(value: unknown, name: string): string {
  const text = memberOf(value, name)
  // Postgres refuses NUL in a text.
  return typeof text === 'string' && /^[\w-]*$/.test(text) ? text : ''
}
