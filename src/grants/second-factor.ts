import type { FastifyRequest } from 'fastify'
import type { MfaRequired } from '../../schemas/mfa-required.js'
import type { Audit } from '../audit.js'
import type { CodeOutcome, Factors } from '../factors/factor.js'
import type { PasskeyCeremonies } from '../factors/passkey-ceremonies.js'
import { refusal } from '../http/errors.js'
import type { CodeThrottle } from '../throttle/codes.js'
import type { SignInTicket, Tickets, UsableTicket } from '../tickets/tickets.js'
import type { User } from '../users/users.js'
import { requireGrantedScope } from './sign-in.js'

export interface SecondFactorDependencies {
  factors: Factors
  passkeyCeremonies: PasskeyCeremonies
  tickets: Tickets
  throttle: CodeThrottle
  audit: Audit
  /** `required`: every account must sign in with two factors. */
  mfa: 'optional' | 'required'
}

/** What a person may send as the second factor. */
export interface PresentedFactor {
  totp?: string | undefined
  recovery_code?: string | undefined
  passkey?: unknown
}

/** What the proof is for. A sign-in uses its ticket together with the factor. */
export type FactorUse = { at: 'sign-in'; ticket: UsableTicket } | { at: 'step-up'; ticket?: undefined }

/** Seconds between the password and the second factor. */
const MFA_TOKEN_LIFETIME = 300

/** Whether the account must have a second factor. */
export const mustHaveFactor = (user: User, mfa: 'optional' | 'required'): boolean =>
  mfa === 'required' || user.mfaRequired

/**
 * The answer to the right password of an account that has a second factor, or must enrol one. Undefined: the password is
 * enough. The account's row says so, and a sign-in without a factor costs no further query.
 *
 * @throws 400 if the scope is not for this person
 */
export async function askForFactor(
  request: FastifyRequest,
  user: User,
  session: SignInTicket['session'],
  { factors, tickets, mfa, audit }: SecondFactorDependencies,
): Promise<MfaRequired | undefined> {
  if (user.factors === 0 && !mustHaveFactor(user, mfa)) return undefined
  requireGrantedScope(request, session.scope, user, audit)
  const types = user.factors === 0 ? [] : await factors.types(user.id)
  const { id: sub, passwordVersion, factorsVersion } = user
  const refreshIn = request.refreshIn === 'cookie' ? { refreshIn: request.refreshIn } : {}
  const purpose = user.factors === 0 ? 'enrolment' : 'mfa'
  audit(request, { event: 'login.factor_required', sub, factors: types })
  return {
    error: 'mfa_required',
    error_description:
      user.factors === 0
        ? 'the account must have a second factor: enrol one with the mfa_token as the bearer token'
        : 'send the mfa_token and one of the factors to /login/mfa',
    mfa_token: tickets.issue(
      purpose,
      { sub, passwordVersion, factorsVersion, session, ...refreshIn },
      MFA_TOKEN_LIFETIME,
    ),
    expires_in: MFA_TOKEN_LIFETIME,
    factors: types,
  }
}

/**
 * The person proves one second factor of the account, exactly once.
 *
 * A ticket that was used never costs a code. It gets the same answer for a right and a wrong factor, and counts nothing.
 *
 * @returns the methods of the proof (RFC 8176)
 * @throws 400 for none or several factors and for a used ticket, 401 for a wrong factor, 429 after too many wrong ones
 */
export async function proveFactor(
  request: FastifyRequest,
  sub: string,
  { at, ticket }: FactorUse,
  presented: PresentedFactor,
  { factors, passkeyCeremonies, tickets, throttle, audit }: SecondFactorDependencies,
): Promise<string[]> {
  const { totp, recovery_code: recoveryCode, passkey } = presented
  const given = Object.entries({ totp, recovery_code: recoveryCode, passkey }).filter(
    ([, value]) => value !== undefined,
  )
  const [type] = given[0] ?? []
  if (type === undefined || given.length > 1) {
    const factors = 'one of totp, recovery_code and passkey'
    throw refusal.invalidRequest(at === 'step-up' ? `send the password, or ${factors}` : `send ${factors}`)
  }
  if (ticket && (await tickets.isUsed(ticket))) throw refuseTicket()
  const attempt = await throttle.beginCode(sub, at)
  if ('wait' in attempt) {
    audit(request, { event: 'factor.refused', reason: 'throttled', sub, type })
    throw refusal.tooManyCodes(attempt.wait)
  }
  let result: 'success' | 'failure' | 'not_compared' = 'not_compared'
  try {
    const proof = await check()
    if ('amr' in proof) {
      result = 'success'
      audit(request, { event: 'factor.used', sub, type })
      return [...proof.amr, 'mfa']
    }
    // Another request used the ticket since this request began.
    if (proof.fault === 'ticket_used') throw refuseTicket()
    result = 'failure'
    audit(request, { event: 'factor.refused', reason: proof.fault, sub, type })
    throw refusal.wrongFactor()
  } finally {
    await throttle.finishCode(attempt, result)
  }

  function refuseTicket(): Error {
    audit(request, { event: 'login.refused', reason: 'mfa_token', sub })
    return refusal.invalidMfaToken()
  }

  async function check(): Promise<{ amr: string[] } | { fault: string }> {
    if (totp !== undefined) return codeProof(await factors.useTotp(sub, totp, ticket))
    if (recoveryCode !== undefined) return codeProof(await factors.useRecoveryCode(sub, recoveryCode, ticket))
    const proof = await passkeyCeremonies.authenticate(passkey, sub)
    if (!proof.isValid) return { fault: proof.fault }
    // A lost race costs the person only a challenge.
    if (ticket && !(await tickets.use(ticket))) return { fault: 'ticket_used' }
    return { amr: [passkeyMethod(proof.passkey)] }
  }
}

function codeProof(outcome: CodeOutcome): { amr: string[] } | { fault: string } {
  if (outcome === 'accepted') return { amr: ['otp'] }
  return { fault: outcome === 'wrong' ? 'wrong_code' : outcome }
}

/** RFC 8176 §2: the proof of a key in hardware, or in software that synchronises it. */
export const passkeyMethod = ({ isSynced }: { isSynced: boolean }): 'swk' | 'hwk' => (isSynced ? 'swk' : 'hwk')
