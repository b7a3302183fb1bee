import { Type } from 'typebox'
import { refusals } from './error.js'
import { Empty, example, Fields, PostedCredentials, Token } from './fields.js'

/** `POST /revoke` (RFC 7009) */
export const Revoke = {
  summary: 'Revoke a token',
  description:
    'Ends the session of an access or refresh token, and so every token of it; of a token that a client got for ' +
    'itself, the client’s tokens issued until then. Answers 200 also for an unknown token, and 400 ' +
    '`unsupported_token_type` where the token was made with a key that the service does not have. Whoever holds the token may ' +
    'ask; client credentials are not needed, but when sent they must be right.',
  tags: ['services'],
  security: [{ basic: [] }, {}],
  body: Fields(
    {
      token: Token,
      token_type_hint: Type.Optional(Type.String({ description: 'Ignored' })),
      ...PostedCredentials,
    },
    { examples: [{ token: example.refreshToken }] },
  ),
  response: { 200: Empty('The token is dead'), ...refusals(401) },
}
