import { commonErrorResponses } from './error.js'
import { example, Fields, Resource, Scope, Token } from './fields.js'
import { TokenResponse } from './token-response.js'
import { Type } from './typebox.js'

const NarrowedScope = Type.String({
  ...Scope,
  description: 'A part of the session’s scope, for this access token only',
})
const SessionAudience = Type.String({
  minLength: 1,
  maxLength: 256,
  description: 'If sent, it must be the audience of the session',
})

/** `POST /refresh` */
export const Refresh = {
  summary: 'Rotate the refresh token',
  description:
    'A refresh token works once. Within `REFRESH_GRACE` (default: 30 seconds) it gets the same successor again. Later, it ' +
    'counts as reuse and ends the session. Send the token in the body or as the bearer token, or in the ' +
    'cookie from a page on `CORS_ORIGINS`. The answer to a cookie sets the cookie again.',
  tags: ['sessions'],
  security: [{}, { refreshToken: [] }],
  body: Fields(
    {
      refresh_token: Type.Optional(Token),
      grant_type: Type.Optional(Type.String({ description: '`refresh_token`, if sent' })),
      scope: Type.Optional(NarrowedScope),
      audience: Type.Optional(SessionAudience),
      resource: Type.Optional(Resource),
    },
    { examples: [{ refresh_token: example.refreshToken }] },
  ),
  response: { 200: TokenResponse, ...commonErrorResponses() },
}
