import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { withoutMapping } from './network.js'

/**
 * An event of an account, a session or a client. Each event is one log line with `"log":"audit"`, at every LOG_LEVEL.
 * Names and addresses may appear in it. A token or a password never does. The name of an unknown account never does
 * either, because people type their password into the wrong field.
 */
export type AuditEvent =
  | ({ event: 'user.created' | 'user.deleted'; sub: string } & ByAdministrator)
  | { event: 'users.imported'; imported: number }
  | ({ event: 'user.disabled' | 'user.enabled' | 'user.password_reset'; sub: string } & ByAdministrator)
  | ({ event: 'user.roles_changed'; sub: string; roles: readonly string[] } & ByAdministrator)
  | ({ event: 'user.renamed'; sub: string; username: string } & ByAdministrator)
  | ({ event: 'user.claims_changed'; sub: string; claims: readonly string[] } & ByAdministrator)
  | { event: 'user.password_changed'; sub: string }
  | { event: 'user.password_refused'; reason: string; sub: string }
  | { event: 'user.create_refused'; reason: string }
  | { event: 'login.accepted' | 'login.stepped_up'; sub: string; sid: string; amr: readonly string[] }
  | { event: 'login.factor_required'; sub: string; factors: readonly string[] }
  | { event: 'login.refused'; reason: (typeof SIGN_IN_REFUSALS)[number]; sub?: string | undefined }
  | { event: 'factor.added' | 'factor.removed'; sub: string; factor: string; type: string }
  | { event: 'factor.recovery_codes_renewed'; sub: string }
  | ({ event: 'factor.reset'; sub: string } & ByAdministrator)
  | { event: 'factor.used'; sub: string; type: string }
  | { event: 'factor.refused'; reason: string; sub?: string | undefined; type: string }
  | ({ event: 'user.mfa_changed'; sub: string; required: boolean } & ByAdministrator)
  | ({ event: 'recovery.requested'; sub: string } & ByAdministrator)
  | { event: 'recovery.completed'; sub: string }
  | { event: 'recovery.refused'; reason: string; sub?: string | undefined; by?: string | undefined }
  | { event: 'refresh.rotated'; sub: string; sid: string; generation: number }
  | { event: 'refresh.replayed'; sub: string; sid: string; generation: number }
  | { event: 'refresh.reused'; sub: string; sid: string; generation: number; successor: 'unused' | 'used' }
  | { event: 'refresh.refused'; reason: string; sub?: string | undefined; sid?: string | undefined }
  | ({ event: 'session.ended'; sub: string; sids: readonly string[]; reason: SessionEnd } & ByAdministrator)
  | ({ event: 'client.created'; client: string } & Permissions & ByAdministrator)
  | ({ event: 'client.updated'; client: string } & ChangedPermissions & ByAdministrator)
  | ({ event: 'client.secret_rotated' | 'client.deleted'; client: string } & ByAdministrator)
  | { event: 'token.exchanged'; sub: string; sid: string; actors: readonly string[]; audience: string }
  | {
      event: 'token.exchange_refused'
      reason: ExchangeRefusal
      client: string
      sub?: string | undefined
      sid?: string | undefined
    }
  | ({ event: 'client.refused' } & RefusedAssertion)
  | ({ event: 'client.proof_changed'; client: string; proof: readonly string[] } & ByAdministrator)
  | ({ event: 'issuer.created' | 'issuer.deleted'; issuer: string } & ByAdministrator)
  | { event: 'client.token_issued'; sub: string }
  | { event: 'client.tokens_revoked'; sub: string; nbf: number }

/** Only for an assertion. `issuer` and `subject` are of a genuine token of a trusted issuer to which no client is bound. */
interface RefusedAssertion {
  method?: string
  reason?: string
  issuer?: string
  subject?: string
}

interface Permissions {
  scopes: readonly string[]
  audiences: readonly string[]
  exchangeAudiences: readonly string[]
}

/** Only what was changed. */
interface ChangedPermissions {
  scopes?: readonly string[]
  audiences?: readonly string[]
  exchangeAudiences?: readonly string[]
}

interface ByAdministrator {
  /** The id of the client, or of the account, that administrates. Absent if the person acts on their own account. */
  by?: string
}

/** The reasons why a sign-in is refused. */
export const SIGN_IN_REFUSALS = [
  'unknown_user',
  'wrong_password',
  'disabled',
  'throttled',
  'passkey',
  'mfa_token',
  'scope',
] as const

/** The reasons why a token exchange is refused. */
export const EXCHANGE_REFUSALS = [
  'not_allowed',
  'audience',
  'not_live',
  'no_person',
  'other_audience',
  'too_many_actors',
  'scope',
] as const
export type ExchangeRefusal = (typeof EXCHANGE_REFUSALS)[number]

/** The reasons for the end of a session. */
export const SESSION_ENDS = [
  'logout',
  'logout_all',
  'ended_by_user',
  'password_changed',
  'user_deleted',
  'user_changed_during_login',
  'too_many',
  'reuse',
  'ended_by_admin',
  'user_disabled',
  'password_reset',
  'roles_changed',
  'factors_changed',
  'factors_reset',
  'mfa_required',
  'password_recovered',
] as const
type SessionEnd = (typeof SESSION_ENDS)[number]

/** An event as the log has it. */
export type AuditLine = AuditEvent & { ip: string; reqId: string }

export type Audit = (request: FastifyRequest, event: AuditEvent) => void

/**
 * @param count is called with each event
 * @param record is called with each line. It may keep the object
 */
export function createAudit(
  logger: FastifyBaseLogger,
  count: (event: AuditEvent) => void,
  record: (line: AuditLine) => void,
): Audit {
  // Without redaction, which took 15 µs a line: the type above lists every member, and none is a secret.
  const log = logger.child({ log: 'audit' }, { level: 'info', redact: [] })
  return (request, event) => {
    // The session had ended before: that is not an event.
    if (event.event === 'session.ended' && event.sids.length === 0) return
    count(event)
    const line = { ...event, ip: withoutMapping(request.ip), reqId: request.id }
    record(line)
    log.info(line, event.event)
  }
}
