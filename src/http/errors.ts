import { type AuthenticationDemand, authenticationChallenge, describeDemand } from '@latchkey/verifier/access-token'
import type { FastifyReply } from 'fastify'
import type { ErrorBody } from '../../schemas/error.js'

/**
 * An error response (RFC 6749 §5.2, RFC 6750 §3.1): status, code, a sentence for the caller, and headers. The detailed reason
 * goes to the log, never to the caller.
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
const INVALID_TOKEN = { 'www-authenticate': `Bearer ${REALM}, error="invalid_token"` }
const UNKNOWN_KEY =
  'this service does not have the key of the token, so it did not end the session: ' +
  'send another token of the session, such as the refresh token'

/** The error responses of all routes. */
export const refusal = {
  invalidRequest: (description: string) => new WireError(400, 'invalid_request', description),

  /** Two readers could disagree about the end or the sender of this request, so the connection closes after it. */
  ambiguous: (description: string) => new WireError(400, 'invalid_request', description, { connection: 'close' }),

  /** At sign-in. The same for an unknown user, a wrong password and a disabled account. */
  signInFailed: () =>
    new WireError(401, 'invalid_grant', 'user name or password is wrong', {
      // Every 401 names a scheme (RFC 9110 §11.6.1). Basic would make a browser open its own dialog.
      'www-authenticate': `Bearer ${REALM}`,
    }),

  /** At a refresh. The same for every cause. */
  invalidGrant: () => new WireError(400, 'invalid_grant', 'the refresh token is not valid: sign in again'),

  invalidScope: (description: string) => new WireError(400, 'invalid_scope', description),

  /** RFC 8707 §2. The text does not list the audiences, because strangers may read it. */
  invalidTarget: () =>
    new WireError(
      400,
      'invalid_target',
      'this service does not issue tokens for this audience: send one of AUDIENCE, and of the audiences of the client if it has any',
    ),

  /** At a token exchange. */
  invalidExchangeTarget: () =>
    new WireError(
      400,
      'invalid_target',
      'this client may not exchange tokens for this audience: send one of its exchange audiences, which AUDIENCE must have too',
    ),

  /** RFC 8707 §2. */
  severalTargets: () =>
    new WireError(400, 'invalid_target', 'a token is for one audience: send audience or resource, once'),

  /** At a token exchange. The default of other grants would be a guess here. */
  missingTarget: () =>
    new WireError(400, 'invalid_target', 'audience is missing: name the service that the new token is for'),

  /** At a token exchange (RFC 8693 §2.2.2). The same for every cause. */
  invalidSubjectToken: () =>
    new WireError(
      400,
      'invalid_request',
      'subject_token is not valid: send a live access token of a person, for an audience of this client',
    ),

  tooManyActors: (most: number) =>
    new WireError(
      400,
      'invalid_request',
      `${most} clients act for this person already: exchange a token with fewer actors`,
    ),

  /** RFC 6749 §5.2. */
  unauthorizedClient: () =>
    new WireError(
      400,
      'unauthorized_client',
      'this client may not exchange tokens: an administrator gives it exchange audiences',
    ),

  /** At a refresh. */
  otherAudience: () =>
    new WireError(400, 'invalid_target', 'the session is for another audience: sign in again with this audience'),

  reservedScope: (issuer: string) =>
    new WireError(
      400,
      'invalid_target',
      `the scopes introspect, admin and recovery are for tokens of this service itself: send audience=${issuer}, which must be one of the audiences of the client if it has any`,
    ),

  /** At the second step of a sign-in. The same for every cause. */
  invalidMfaToken: () =>
    new WireError(
      400,
      'invalid_grant',
      'the mfa_token is not valid here: sign in again with the password, as the same client, and enrol a factor if factors is empty',
    ),

  /** The account changed after its person had proved who they are. */
  accountChanged: () =>
    new WireError(401, 'invalid_grant', 'the account changed during the sign-in: sign in again', {
      'www-authenticate': `Bearer ${REALM}`,
    }),

  /** The same for a wrong, a used and a removed factor. */
  wrongFactor: () =>
    new WireError(401, 'invalid_grant', 'the code or the passkey is wrong, or was used: send another', {
      'www-authenticate': `Bearer ${REALM}`,
    }),

  invalidPasskey: () =>
    new WireError(401, 'invalid_grant', 'the passkey is not valid here: try again, or sign in with the password', {
      'www-authenticate': `Bearer ${REALM}`,
    }),

  tooManyCodes: (seconds: number) =>
    new WireError(429, 'temporarily_unavailable', `too many wrong codes: try again in ${seconds} s`, {
      'retry-after': String(seconds),
    }),

  totpIsOff: () =>
    new WireError(404, 'not_found', 'TOTP is off: register a passkey, or ask the operator to set DATA_SECRET'),

  noSuchFactor: () => new WireError(404, 'not_found', 'this factor does not exist'),

  noFactors: () =>
    new WireError(404, 'not_found', 'the account has no second factor: enrol one, and it brings recovery codes'),

  lastFactor: () =>
    new WireError(
      409,
      'last_factor',
      'the account must have a second factor: enrol another one before you remove this one',
    ),

  factorsChanged: () =>
    new WireError(409, 'factors_changed', 'the factors of the account changed meanwhile: read them, and try again'),

  passkeyTaken: () => new WireError(409, 'passkey_taken', 'this passkey is registered already: use another one'),

  tooManyPasskeys: (limit: number) =>
    new WireError(409, 'too_many_passkeys', `an account has at most ${limit} passkeys: remove one`),

  /** The same for every cause. */
  invalidRecoveryToken: () =>
    new WireError(400, 'invalid_grant', 'the token is not valid any more: ask for another one'),

  unsupportedGrantType: (supported: string) =>
    new WireError(400, 'unsupported_grant_type', `grant_type must be ${supported}`),

  /** Without credentials the challenge has no error code (RFC 6750 §3.1). */
  missingToken: () =>
    new WireError(401, 'invalid_token', 'send a token: Authorization: Bearer …', {
      'www-authenticate': `Bearer ${REALM}`,
    }),

  invalidToken: () =>
    new WireError(401, 'invalid_token', 'the token is not valid, or its session has ended', INVALID_TOKEN),

  /**
   * At sign-out. The token names this issuer, and no key here can check it. Its session may be alive, so 204 could be wrong. Most
   * callers refresh after a 401 and retry, and this instance can read the new token.
   */
  unknownKey: () => new WireError(401, 'invalid_token', UNKNOWN_KEY, INVALID_TOKEN),

  /** The same at the revocation endpoint (RFC 7009 §2.2.1), where 401 means that the client authentication failed. */
  unsupportedTokenType: () => new WireError(400, 'unsupported_token_type', UNKNOWN_KEY),

  invalidClient: () =>
    new WireError(
      401,
      'invalid_client',
      'client authentication failed: send id and secret by HTTP Basic or in the body, or a client assertion',
      {
        'www-authenticate': `Basic ${REALM}, charset="UTF-8"`,
      },
    ),

  /** A client's own token that is live, and that this endpoint does not accept. */
  unusableClientToken: (description: string) =>
    new WireError(401, 'invalid_client', description, { 'www-authenticate': `Basic ${REALM}, charset="UTF-8"` }),

  /** A person's token for another service. @param audiences the accepted ones */
  wrongAudience: (audiences: readonly string[]) =>
    new WireError(
      401,
      'invalid_token',
      `the token is for another audience: sign in with audience=${[...new Set(audiences)].join(' or audience=')}`,
      INVALID_TOKEN,
    ),

  /** A token that a client got by exchange, where only the person may act. */
  exchangedToken: () =>
    new WireError(
      401,
      'invalid_token',
      'a client got this token by exchange: send a token that the person signed in for',
      INVALID_TOKEN,
    ),

  /** @param scope has only characters of RFC 6749 §3.3, because it stands in a header */
  insufficientScope: (scope: string) =>
    new WireError(
      403,
      'insufficient_scope',
      `this endpoint needs the scope ${scope}: ask for a token that has it, or give the client the scope`,
      {
        'www-authenticate': `Bearer ${REALM}, error="insufficient_scope", scope="${scope}"`,
      },
    ),

  /**
   * RFC 6750 has no code for a missing audience or role. The text does not repeat the demanded value: at `/verify` a part of it
   * may come from an attacker.
   */
  forbidden: (what: 'audience' | 'scope' | 'role') =>
    new WireError(403, 'insufficient_scope', `the token does not have the ${what} that the query demands`, {
      'www-authenticate': `Bearer ${REALM}, error="insufficient_scope"`,
    }),

  /** RFC 9470 §3: the person must authenticate again, or with more factors. */
  insufficientAuthentication: (demand: AuthenticationDemand) =>
    new WireError(401, 'insufficient_user_authentication', describeDemand(demand), {
      'www-authenticate': `Bearer ${REALM}, ${authenticationChallenge(demand)}`,
    }),

  /** At `/verify`. The text does not repeat the parameter, for the same reason. */
  misspeltQuestion: (name: 'aud' | 'scope' | 'role' | 'acr' | 'max_age') =>
    new WireError(403, 'invalid_request', `the query has a misspelt parameter that looks like ${name}: write ${name}`),

  /** At `/verify`. A gateway passes 403 on, and no other status of a broken query. */
  brokenQuestion: (description: string) => new WireError(403, 'invalid_request', description),

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
      'another account has this user name, or one that looks like it: choose another',
    ),

  userIdTaken: () =>
    new WireError(409, 'id_taken', 'another account, or a client, has this id: choose another, or leave it out'),

  signUpClosed: () =>
    new WireError(404, 'not_found', 'sign-up is closed: ask an administrator for an account, or set SIGNUP=open'),

  clientIdTaken: () =>
    new WireError(
      409,
      'client_id_taken',
      'another client, or an account, has this id: choose another, or rotate the secret of the client',
    ),

  /** A token of a trusted issuer authenticates one client. */
  subjectTaken: () =>
    new WireError(409, 'subject_taken', 'another client is bound to this subject: remove its binding first'),

  issuerNameTaken: () =>
    new WireError(409, 'issuer_name_taken', 'another trusted issuer has this name: choose another, or delete that one'),

  issuerInUse: (clients: readonly string[]) =>
    new WireError(
      409,
      'issuer_in_use',
      `clients are bound to this issuer: ${clients.join(', ')}: remove their bindings`,
    ),

  noSuch: (what: 'account' | 'client' | 'issuer') => new WireError(404, 'not_found', `this ${what} does not exist`),

  notFound: () => new WireError(404, 'not_found', 'this address does not exist'),

  methodNotAllowed: (allow: string) => new WireError(405, 'invalid_request', `this address takes ${allow}`, { allow }),

  unknownMethod: () => new WireError(501, 'invalid_request', 'this service does not know the method'),

  unsupportedMediaType: (description: string) => new WireError(415, 'invalid_request', description),

  unavailable: () =>
    new WireError(503, 'temporarily_unavailable', 'the service cannot answer now: try again', { 'retry-after': '1' }),

  fault: (requestId: string) =>
    new WireError(500, 'server_error', `the service failed: its log has the cause under request id ${requestId}`),
}

export function sendRefusal(reply: FastifyReply, { statusCode, code, message, headers }: WireError): FastifyReply {
  const body: ErrorBody = { error: code, error_description: message }
  return reply
    .code(statusCode)
    .headers({ 'cache-control': 'no-store', ...headers })
    .type('application/json; charset=utf-8')
    .send(body)
}
