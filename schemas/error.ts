import { type Static, Type } from 'typebox'

/** What every refusal looks like (RFC 6749 §5.2). */
export const ErrorBody = Type.Object(
  {
    error: Type.String({
      description: 'Stable code',
      examples: ['invalid_request', 'invalid_grant', 'invalid_client', 'invalid_token', 'temporarily_unavailable'],
    }),
    error_description: Type.String({ description: 'What is wrong and what to do, for people' }),
  },
  { description: 'Refused' },
)
export type ErrorBody = Static<typeof ErrorBody>

const reasons = {
  400: 'The request is malformed, or the grant is not valid',
  401: 'Authentication is missing or not valid',
  404: 'There is no such resource',
  405: 'The method is not one of this resource; `Allow` names those that are',
  409: 'The user name is taken',
  413: 'The body is over 16 KiB',
  415: 'The body is neither JSON nor a form, or is compressed, or is not UTF-8',
  429: 'Too many wrong passwords; `Retry-After` says when to try again',
  500: 'A fault of the service; the log has it under the request id',
  503: 'A store or the password hash is saturated or away; `Retry-After` says when to ask again',
} as const

export type RefusalStatus = keyof typeof reasons

/** The error half of a route's `response` schema: what every route can answer, and `also`. */
export function refusals(...also: RefusalStatus[]) {
  const statuses: RefusalStatus[] = [400, ...also, 405, 413, 415, 500, 503]
  return Object.fromEntries(
    statuses.map((status) => [status, Type.Object(ErrorBody.properties, { description: reasons[status] })]),
  )
}
