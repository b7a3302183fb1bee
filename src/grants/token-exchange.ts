import { type AccessTokenClaims, type Actor, MAX_ACTORS } from '@latchkey/verifier/access-token'
import { actorsOf } from '@latchkey/verifier/forward-auth'
import type { FastifyRequest } from 'fastify'
import { ACCESS_TOKEN_TYPE, type ClientTokenResponse } from '../../schemas/token.js'
import type { Audit, ExchangeRefusal } from '../audit.js'
import type { Client } from '../clients/clients.js'
import { refusal, type WireError } from '../http/errors.js'
import { parseScope, RESERVED_SCOPES } from '../scope.js'
import type { AccessTokens } from '../tokens/access-tokens.js'
import { type AudienceParameters, requestedAudience } from './requested-audience.js'

interface Dependencies {
  tokens: AccessTokens
  audit: Audit
  /** The claims of an access token that is live now; undefined for every other token. */
  findClaims(token: string): Promise<AccessTokenClaims | undefined>
}

/** The parameters of a token exchange (RFC 8693 §2.1). */
interface ExchangeParameters extends AudienceParameters {
  subject_token?: string | undefined
  subject_token_type?: string | undefined
  requested_token_type?: string | undefined
  scope?: string | undefined
}

/**
 * Exchanges a person's access token for a token that is for one service (RFC 8693). The new token has the person and the
 * session of the subject token, so it ends with them. It is never wider: a part of the scope, the same roles, the same end.
 *
 * The client may exchange only tokens that were meant for it: of its own audiences, or, without own audiences, of `ISSUER` and
 * the default audience. Otherwise a service that was taken over could exchange every token that it ever saw, for example one
 * out of a log of another service. docs/threat-model.md has the reasons.
 */
export async function exchangeToken(
  request: FastifyRequest,
  client: Client,
  parameters: ExchangeParameters,
  { tokens, audit, findClaims }: Dependencies,
): Promise<ClientTokenResponse> {
  const refuse = (reason: ExchangeRefusal, error: WireError, subject?: AccessTokenClaims): WireError => {
    audit(request, { event: 'token.exchange_refused', reason, client: client.id, sub: subject?.sub, sid: subject?.sid })
    return error
  }

  if (client.exchangeAudiences.size === 0) throw refuse('not_allowed', refusal.unauthorizedClient())
  const subjectToken = requireSubjectToken(parameters)
  const audience = requestedAudience(parameters)
  if (audience === undefined) throw refusal.missingTarget()
  if (!client.exchangeAudiences.has(audience) || !tokens.audiences.includes(audience)) {
    throw refuse('audience', refusal.invalidExchangeTarget())
  }

  const subject = await findClaims(subjectToken)
  // One answer for every fault, as at introspection: the client does not learn that a token for others is live.
  if (!subject) throw refuse('not_live', refusal.invalidSubjectToken())
  if (subject.sid === undefined) throw refuse('no_person', refusal.invalidSubjectToken(), subject)
  if (!isMeantFor(client, subject.aud, tokens)) throw refuse('other_audience', refusal.invalidSubjectToken(), subject)
  const act: Actor = { sub: client.id, ...(subject.act && { act: subject.act }) }
  const actors = actorsOf(act)
  if (actors.length > MAX_ACTORS) throw refuse('too_many_actors', refusal.tooManyActors(MAX_ACTORS), subject)
  // A person who administrates has the scope `admin`. No client gets that by exchange.
  const granted = parseScope(subject.scope).filter((item) => !RESERVED_SCOPES.has(item))
  const scope = parameters.scope ?? granted.join(' ')
  if (!parseScope(scope).every((item) => granted.includes(item))) {
    throw refuse('scope', refusal.invalidScope('scope asks for more than the subject token has'), subject)
  }

  const { token, expiresIn } = tokens.exchange(subject, { clientId: client.id, scope, audience, act })
  const { sub, sid } = subject
  audit(request, { event: 'token.exchanged', sub, sid, actors, audience })
  return {
    access_token: token,
    issued_token_type: ACCESS_TOKEN_TYPE,
    token_type: 'Bearer',
    expires_in: expiresIn,
    scope,
  }
}

/** Checks the types of the tokens (RFC 8693 §2.1). Returns the subject token. */
function requireSubjectToken(parameters: ExchangeParameters): string {
  const { subject_token: token, subject_token_type: type, requested_token_type: requested } = parameters
  if (token === undefined) throw refusal.invalidRequest('subject_token is missing: send the access token of the person')
  if (type !== ACCESS_TOKEN_TYPE) throw refusal.invalidRequest(`subject_token_type must be ${ACCESS_TOKEN_TYPE}`)
  if ((requested ?? ACCESS_TOKEN_TYPE) !== ACCESS_TOKEN_TYPE) {
    throw refusal.invalidRequest(`requested_token_type must be ${ACCESS_TOKEN_TYPE}, or left out`)
  }
  return token
}

function isMeantFor({ audiences: own }: Client, aud: string, { issuer, audiences }: AccessTokens): boolean {
  return own.size > 0 ? own.has(aud) : aud === issuer || aud === audiences[0]
}
