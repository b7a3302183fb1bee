import { Type } from 'typebox'
import { refusals } from './error.js'
import { example, Fields, Scope, Token } from './fields.js'
import { TokenResponse } from './token-response.js'

export const LessScope = Type.String({
  ...Scope,
  description: 'A part of the session’s scope, for this access token alone',
})
export const SameAudience = Type.String({
  minLength: 1,
  maxLength: 256,
  description: 'The session’s own, if sent at all',
})

/** `POST /refresh` */
export const Refresh = {
  summary: 'Rotate the refresh token',
  description:
    'Exactly once: the same token presented again within `REFRESH_GRACE` (30 seconds unless set otherwise) gets the same ' +
    'successor; later, it counts as reuse and ends the session. The token comes in the body or as the bearer token.',
  tags: ['sessions'],
  security: [{}, { bearer: [] }],
  body: Fields(
    {
      refresh_token: Type.Optional(Token),
      grant_type: Type.Optional(Type.String({ description: 'Tolerated: `refresh_token`' })),
      scope: Type.Optional(LessScope),
      audience: Type.Optional(SameAudience),
    },
    { examples: [{ refresh_token: example.refreshToken }] },
  ),
  response: { 200: TokenResponse, ...refusals() },
}
