import type { FastifyBaseLogger, FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { ErrorBody } from '../../schemas/error.js'
import { Unavailable } from '../unavailable.js'

/**
 * An error response (RFC 6749 §5.2, RFC 6750 §3.1): status, code, a sentence for the caller, headers. The description holds
 * no internal detail: only the log has it.
 */
export class WireError extends Error {
  override readonly name = 'WireError'
  constructor(
    readonly statusCode: number,
    readonly code: string,
    description: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(description)
  }
}

const REALM = 'realm="latchkey"'
const UNKNOWN_KEY =
  'the token was made with a key that this service does not have, so its session was not ended: ' +
  'send another token of the session, such as the refresh token'

/** Every error response of the service. */
export const refusal = {
  invalidRequest: (description: string) => new WireError(400, 'invalid_request', description),

  /** Two readers could disagree on the end or the caller of this request, so the connection closes after the answer. */
  ambiguous: (description: string) => new WireError(400, 'invalid_request', description, { connection: 'close' }),

  /** At sign-in. An unknown user, a wrong password and a disabled account get the same answer. */
  signInFailed: () =>
    new WireError(401, 'invalid_grant', 'user name or password is wrong', {
      // Every 401 names a scheme (RFC 9110 §11.6.1). Not Basic: a browser would open its own dialog.
      'www-authenticate': `Bearer ${REALM}`,
    }),

  /** At a refresh. Every cause gets the same answer. */
  invalidGrant: () => new WireError(400, 'invalid_grant', 'the refresh token is not valid: sign in again'),

  invalidScope: (description: string) => new WireError(400, 'invalid_scope', description),

  /** RFC 8707 §2. The answer does not list the audiences, because the caller may be a stranger. */
  invalidTarget: () =>
    new WireError(
      400,
      'invalid_target',
      'audience is not one that this service issues tokens for: send one of AUDIENCE that the client may have',
    ),

  /** At a refresh. */
  otherAudience: () =>
    new WireError(400, 'invalid_target', 'the session is for another audience: sign in again with this audience'),

  reservedScope: (issuer: string) =>
    new WireError(
      400,
      'invalid_target',
      `the scopes introspect and admin are for tokens of this service itself: send audience=${issuer}`,
    ),

  unsupportedGrantType: (supported: string) =>
    new WireError(400, 'unsupported_grant_type', `grant_type must be ${supported}`),

  /** The request has no credentials: then RFC 6750 §3.1 wants no error code in the challenge. */
  missingToken: () =>
    new WireError(401, 'invalid_token', 'send a token: Authorization: Bearer …', {
      'www-authenticate': `Bearer ${REALM}`,
    }),

  invalidToken: () =>
    new WireError(401, 'invalid_token', 'the token is not valid, or its session has ended', {
      'www-authenticate': `Bearer ${REALM}, error="invalid_token"`,
    }),

  /**
   * At a sign-out. The token names us as its issuer, but no key of this instance signed it. Its session may be alive, so 204
   * could be false. Most callers refresh after 401 and retry: this instance can read the new token.
   */
  unknownKey: () =>
    new WireError(401, 'invalid_token', UNKNOWN_KEY, { 'www-authenticate': `Bearer ${REALM}, error="invalid_token"` }),

  /** The same case at the revocation endpoint (RFC 7009 §2.2.1). There, 401 means that client authentication failed. */
  unsupportedTokenType: () => new WireError(400, 'unsupported_token_type', UNKNOWN_KEY),

  invalidClient: () =>
    new WireError(
      401,
      'invalid_client',
      'client authentication failed: send id and secret by HTTP Basic or in the body',
      {
        'www-authenticate': `Basic ${REALM}, charset="UTF-8"`,
      },
    ),

  /** A client's own token that is active but not accepted at this endpoint. */
  unusableClientToken: (description: string) =>
    new WireError(401, 'invalid_client', description, { 'www-authenticate': `Basic ${REALM}, charset="UTF-8"` }),

  /** A person's token for another service. @param audiences the accepted ones */
  wrongAudience: (audiences: readonly string[]) =>
    new WireError(
      401,
      'invalid_token',
      `the token is for another audience: sign in with audience=${[...new Set(audiences)].join(' or audience=')}`,
      { 'www-authenticate': `Bearer ${REALM}, error="invalid_token"` },
    ),

  /** @param scope in RFC 6749's characters, because it goes into a header */
  insufficientScope: (scope: string) =>
    new WireError(403, 'insufficient_scope', `the scope ${scope} is needed`, {
      'www-authenticate': `Bearer ${REALM}, error="insufficient_scope", scope="${scope}"`,
    }),

  /**
   * RFC 6750 has no error code for a missing audience or role. The answer does not repeat the requested value: at /verify,
   * the caller that the gateway asks about may have written part of it.
   */
  forbidden: (what: 'audience' | 'scope' | 'role') =>
    new WireError(403, 'insufficient_scope', `the token lacks the requested ${what}`, {
      'www-authenticate': `Bearer ${REALM}, error="insufficient_scope"`,
    }),

  /** At /verify. The answer does not repeat what was sent, as above. */
  misspeltQuestion: (name: 'aud' | 'scope' | 'role') =>
    new WireError(
      403,
      'invalid_request',
      `the query has a parameter that looks like ${name} and is not: write ${name}`,
    ),

  wrongPassword: () =>
    new WireError(401, 'invalid_grant', 'the password is wrong', { 'www-authenticate': `Bearer ${REALM}` }),

  tooManyAttempts: (seconds: number) =>
    new WireError(429, 'temporarily_unavailable', `too many wrong passwords: try again in ${seconds} s`, {
      'retry-after': String(seconds),
    }),

  tooManySignUps: (seconds: number) =>
    new WireError(429, 'temporarily_unavailable', `too many sign-ups from this address: try again in ${seconds} s`, {
      'retry-after': String(seconds),
    }),

  usernameTaken: () =>
    new WireError(
      409,
      'username_taken',
      'there is an account with this user name, or with one that looks like it: choose another',
    ),

  signUpClosed: () =>
    new WireError(404, 'not_found', 'sign-up is closed: ask an administrator for an account, or set SIGNUP=open'),

  clientIdTaken: () =>
    new WireError(409, 'client_id_taken', 'a client has this id: choose another, or rotate the secret of that client'),

  noSuch: (what: 'account' | 'client') => new WireError(404, 'not_found', `there is no such ${what}`),

  notFound: () => new WireError(404, 'not_found', 'there is nothing at this address'),

  methodNotAllowed: (allow: string) => new WireError(405, 'invalid_request', `this address takes ${allow}`, { allow }),

  unknownMethod: () => new WireError(501, 'invalid_request', 'this service does not know the method'),

  unsupportedMediaType: (description: string) => new WireError(415, 'invalid_request', description),

  unavailable: () =>
    new WireError(503, 'temporarily_unavailable', 'the service cannot answer now: try again', { 'retry-after': '1' }),

  fault: (requestId: string) =>
    new WireError(500, 'server_error', `internal error: the log of the service has it under request id ${requestId}`),
}

/** Fastify's error handler: turns every thrown error into the error body of this service. */
export function createErrorHandler(logger: FastifyBaseLogger) {
  // Without redaction: the line has three members, and none is a secret. Under overload each refused request writes one
  // line, and redaction made 46 KB of garbage for each.
  const unredacted = logger.child({}, { redact: [] })
  return (error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    if (error instanceof Unavailable) {
      const { dependency, message: reason } = error
      unredacted.warn({ reqId: request.id, dependency, reason }, 'unavailable')
    }
    return sendRefusal(reply, toWireError(error, request, logger))
  }
}

export function sendRefusal(reply: FastifyReply, { statusCode, code, message, headers }: WireError): FastifyReply {
  const body: ErrorBody = { error: code, error_description: message }
  return reply
    .code(statusCode)
    .headers({ 'cache-control': 'no-store', ...headers })
    .type('application/json; charset=utf-8')
    .send(body)
}

function toWireError(error: FastifyError, request: FastifyRequest, logger: FastifyBaseLogger): WireError {
  if (error instanceof WireError) return error
  if (error instanceof Unavailable) return refusal.unavailable()
  if (error.validation) return refusal.invalidRequest(describeValidation(error))
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new WireError(413, 'invalid_request', 'the body is over 16 KiB')
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return refusal.unsupportedMediaType('send application/json or application/x-www-form-urlencoded')
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return refusal.invalidRequest('the length of the body differs from Content-Length')
    default:
  }
  if (error.statusCode && error.statusCode >= 400 && error.statusCode < 500) {
    // Fastify's message names its internals.
    return new WireError(error.statusCode, 'invalid_request', 'the request cannot be read')
  }
  logger.error({ reqId: request.id, err: error }, 'request failed')
  return refusal.fault(request.id)
}

/** Describes the first fault that the schema found, in the names that the caller sent. */
function describeValidation(error: FastifyError): string {
  const faults = error.validation ?? []
  // For a field with several allowed forms, Ajv reports a fault of each form. "Has another type" helps the caller least.
  const fault = faults.find(({ keyword }) => keyword !== 'type' && keyword !== 'anyOf') ?? faults[0]
  const place = error.validationContext === 'querystring' ? 'query parameter ' : ''
  const field = fault?.instancePath.slice(1).replaceAll('/', '.')
  if (fault?.keyword === 'required') return `${place}${String(fault.params.missingProperty)} is missing`
  const schema = (fault as { parentSchema?: { properties?: object; 'x-rule'?: string } } | undefined)?.parentSchema
  if (fault?.keyword === 'additionalProperties') {
    const names = Object.keys(schema?.properties ?? {})
    const name = JSON.stringify(fault.params.additionalProperty)
    return `${place}${name} is not known: ${names.length === 0 ? 'leave it out' : `send ${names.join(', ')}`}`
  }
  if (fault?.keyword !== 'type' && schema?.['x-rule']) return `${place}${field} ${schema['x-rule']}`
  if (!field) return 'the body must be an object, as JSON or as a form'
  if (fault?.keyword === 'const') {
    const values = faults.filter(({ keyword }) => keyword === 'const').map(({ params }) => params.allowedValue)
    return `${place}${field} must be ${values.join(' or ')}`
  }
  if (fault?.keyword === 'pattern') return `${place}${field} has forbidden characters`
  return `${place}${field} ${fault?.message}`
}
