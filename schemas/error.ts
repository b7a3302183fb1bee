import { type Static, Type } from './typebox.js'

/** The body of every error response (RFC 6749 §5.2). */
export const ErrorBody = Type.Object(
  {
    error: Type.String({ description: 'Stable code' }),
    error_description: Type.String({ description: 'What is wrong, and what to do. For people' }),
  },
  { description: 'Error' },
)
export type ErrorBody = Static<typeof ErrorBody>

const body = (error: string, description: string): ErrorBody => ({ error, error_description: description })

const errorSchema = (documentation: { description: string; examples: ErrorBody[] }) =>
  Type.Object(ErrorBody.properties, documentation)

/**
 * The meaning of each status, and real bodies as examples. All routes share these schemas, so that each is compiled once in a
 * process.
 */
const errors = {
  400: errorSchema({
    description: 'The request is malformed, or the grant is not valid',
    examples: [
      body('invalid_request', 'password is missing'),
      body('invalid_grant', 'the refresh token is not valid: sign in again'),
    ],
  }),
  401: errorSchema({
    description: 'Authentication is missing or not valid; `WWW-Authenticate` names the scheme',
    examples: [
      body('invalid_token', 'the token is not valid, or its session has ended'),
      body('invalid_grant', 'user name or password is wrong'),
      body(
        'insufficient_user_authentication',
        'the person must have signed in with two factors, at most 300 s ago: step up, and use the new token',
      ),
      body(
        'invalid_client',
        'client authentication failed: send id and secret by HTTP Basic or in the body, or a client assertion',
      ),
    ],
  }),
  403: errorSchema({
    description:
      'The client lacks a scope; or the token lacks a requested scope, audience or role; or the query of a gateway has a ' +
      'misspelt parameter',
    examples: [
      body(
        'insufficient_scope',
        'this endpoint needs the scope introspect: ask for a token that has it, or give the client the scope',
      ),
    ],
  }),
  404: errorSchema({
    description: 'The resource does not exist',
    examples: [body('not_found', 'this address does not exist'), body('not_found', 'this account does not exist')],
  }),
  405: errorSchema({
    description: 'The resource does not have this method; `Allow` lists its methods',
    examples: [body('invalid_request', 'this address takes POST')],
  }),
  409: errorSchema({
    description:
      'A user name, a client id, a passkey or another name is taken; or other factors or clients do not allow the change',
    examples: [
      body('username_taken', 'another account has this user name, or one that looks like it: choose another'),
      body(
        'client_id_taken',
        'another client, or an account, has this id: choose another, or rotate the secret of the client',
      ),
      body('subject_taken', 'another client is bound to this subject: remove its binding first'),
      body('issuer_in_use', 'clients are bound to this issuer: billing: remove their bindings'),
      body('last_factor', 'the account must have a second factor: enrol another one before you remove this one'),
    ],
  }),
  413: errorSchema({
    description: 'The body is larger than 16 KiB',
    examples: [body('invalid_request', 'the body is larger than 16 KiB: send less')],
  }),
  415: errorSchema({
    description: 'The body is neither JSON nor a form, or it is compressed, or it is not UTF-8',
    examples: [body('invalid_request', 'send application/json or application/x-www-form-urlencoded')],
  }),
  429: errorSchema({
    description: 'Too many wrong passwords or codes, or too many sign-ups; `Retry-After` says when to try again',
    examples: [
      body('temporarily_unavailable', 'too many wrong passwords: try again in 5 s'),
      body('temporarily_unavailable', 'too many sign-ups from this address: try again in 900 s'),
    ],
  }),
  500: errorSchema({
    description: 'Internal error; the log of the service has it under the request id',
    examples: [
      body(
        'server_error',
        'the service failed: its log has the cause under request id 0d2c9c8e-6a55-4c43-9a5e-3a6f2f6f3c1b',
      ),
    ],
  }),
  503: errorSchema({
    description: 'A store does not answer, or the hashing queue is full; `Retry-After` says when to retry',
    examples: [body('temporarily_unavailable', 'the service cannot answer now: try again')],
  }),
}

type ErrorStatus = keyof typeof errors

/** The `response` schemas of the errors that every route with a body can give, and of more statuses. */
export const commonErrorResponses = (...also: ErrorStatus[]) => errorResponses(400, ...also, 405, 413, 415, 500, 503)

/** The same for routes that read no body. */
export const readErrorResponses = (...also: ErrorStatus[]) => errorResponses(400, ...also, 405, 415, 500, 503)

/** The `response` schemas of these errors only. */
export function errorResponses(...statuses: ErrorStatus[]) {
  return Object.fromEntries(statuses.map((status) => [status, errors[status]]))
}

/** An error of one route, whose causes the general description does not name. `examples`: code, then text. */
interface OwnError {
  description: string
  examples: readonly (readonly [error: string, description: string])[]
}

/** {@link commonErrorResponses}, with the words of one route. */
export function ownErrorResponses(own: Partial<Record<ErrorStatus, OwnError>>, ...also: ErrorStatus[]) {
  const responses = commonErrorResponses(...also)
  for (const [status, { description, examples }] of Object.entries(own)) {
    const bodies = examples.map(([error, text]) => body(error, text))
    responses[status] = errorSchema({ description, examples: bodies })
  }
  return responses
}
