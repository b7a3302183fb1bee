import { commonErrorResponses } from './error.js'
import { Empty, example, Fields, PostedCredentials, Token } from './fields.js'
import { Type } from './typebox.js'

/** `POST /revoke` (RFC 7009) */
export const Revoke = {
  summary: 'Revoke a token',
  description:
    'Ends the session of an access token or refresh token, and so every token of the session. A token that a client got for ' +
    'itself ends with all such tokens of the client that were issued in the same second or before. For any other text the answer is 200 too. The ' +
    'answer is 400 `unsupported_token_type` if the service does not have the key that signed the token. Everybody ' +
    'who holds the token may revoke it. Client credentials are optional, but wrong ones are refused.',
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
  response: { 200: Empty('The token is revoked'), ...commonErrorResponses(401) },
}
