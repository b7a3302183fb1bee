import { type AuditEvent, EXCHANGE_REFUSALS, SESSION_ENDS, SIGN_IN_REFUSALS } from '../audit.js'
import { counter, type Metric } from './series.js'

export interface EventCounters {
  countEvent(event: AuditEvent): void
  /** Counts a client assertion, by the method and the outcome of the authentication. */
  countAssertion(method: string, outcome: string): void
}

// These series exist from the start, at 0: Prometheus does not see the increase of a series that begins at 1.
const SIGN_IN_RESULTS = ['accepted', 'factor_required', ...SIGN_IN_REFUSALS]
const FACTOR_RESULTS = ['accepted', 'refused', 'throttled']
const ASSERTION_METHODS = ['private_key_jwt', 'trusted_issuer']
const ASSERTION_OUTCOMES = ['accepted', 'refused', 'replayed']
const ROTATION_OUTCOMES = ['rotated', 'replayed', 'reused', 'forged', 'no_such_session']

/** The counters of what the audit log records. */
export function createEventCounters(register: <Each extends Metric>(metric: Each) => Each): EventCounters {
  const signIns = register(counter('latchkey_sign_ins_total', 'Sign-ins, by result.'))
  const factorChecks = register(counter('latchkey_factor_checks_total', 'Second factors presented, by result.'))
  const rotations = register(counter('latchkey_rotations_total', 'Refresh tokens presented, by outcome.'))
  const revocations = register(
    counter(
      'latchkey_revocations_total',
      'Sessions ended, by cause; client_tokens: revocations of the own tokens of a client.',
    ),
  )
  const exchanges = register(counter('latchkey_token_exchanges_total', 'Token exchanges, by outcome.'))
  const refusedClients = register(
    counter('latchkey_clients_refused_total', 'Requests with a wrong client id, client secret or client token.'),
  ).with({})
  const assertions = register(counter('latchkey_client_assertions_total', 'Client assertions, by method and outcome.'))
  for (const result of SIGN_IN_RESULTS) signIns.with({ result })
  for (const result of FACTOR_RESULTS) factorChecks.with({ result })
  for (const outcome of ROTATION_OUTCOMES) rotations.with({ outcome })
  for (const method of ASSERTION_METHODS) {
    for (const outcome of ASSERTION_OUTCOMES) assertions.with({ method, outcome })
  }
  for (const outcome of ['exchanged', ...EXCHANGE_REFUSALS]) exchanges.with({ outcome })
  for (const cause of [...SESSION_ENDS, 'client_tokens']) revocations.with({ cause })

  return {
    countEvent(event) {
      switch (event.event) {
        case 'login.accepted':
          return signIns.with({ result: 'accepted' }).add()
        case 'login.factor_required':
          return signIns.with({ result: 'factor_required' }).add()
        case 'factor.used':
          return factorChecks.with({ result: 'accepted' }).add()
        case 'factor.refused':
          return factorChecks.with({ result: event.reason === 'throttled' ? 'throttled' : 'refused' }).add()
        case 'login.refused':
          return signIns.with({ result: event.reason }).add()
        case 'refresh.rotated':
        case 'refresh.replayed':
        case 'refresh.reused':
          return rotations.with({ outcome: event.event.slice('refresh.'.length) }).add()
        case 'refresh.refused':
          return rotations.with({ outcome: event.reason }).add()
        case 'token.exchanged':
          return exchanges.with({ outcome: 'exchanged' }).add()
        case 'token.exchange_refused':
          return exchanges.with({ outcome: event.reason }).add()
        case 'session.ended':
          return revocations.with({ cause: event.reason }).add(event.sids.length)
        case 'client.tokens_revoked':
          return revocations.with({ cause: 'client_tokens' }).add()
        case 'client.refused':
          return refusedClients.add()
        default:
          return
      }
    },

    countAssertion: (method, outcome) => assertions.with({ method, outcome }).add(),
  }
}
