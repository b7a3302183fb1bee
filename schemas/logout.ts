import { commonErrorResponses } from './error.js'
import { example, Fields, Token } from './fields.js'
import { Type } from './typebox.js'

const body = Fields({ token: Type.Optional(Token) }, { examples: [{ token: example.accessToken }] })

/** `POST /logout` */
export const Logout = {
  summary: 'Sign out',
  description:
    'Ends the session of an access token or refresh token of any audience. Send it as the bearer token, in the body, or in ' +
    'the cookie from a page of `CORS_ORIGINS`: the answer then deletes the cookie. The token may have expired. A token that a client ' +
    'got for itself ends as at `/revoke`. The answer is 204 also if the session has ended before, or if another service issued the ' +
    'token. The answer is 401 if the service does not have the key of the token: refresh, and sign out with the new token.',
  tags: ['sessions'],
  security: [{}, { refreshToken: [] }, { bearer: [] }],
  body,
  response: { 204: Type.Null({ description: 'The session has ended, everywhere' }), ...commonErrorResponses(401) },
}

/** `POST /logout-all` */
export const LogoutAll = {
  summary: 'Sign out everywhere',
  description:
    'Ends every session of the user. The token must be active: a refresh token, or an access token for `ISSUER` or for the ' +
    'default audience.',
  tags: ['sessions'],
  security: [{}, { refreshToken: [] }, { bearer: [] }],
  body,
  response: { 204: Type.Null({ description: 'Every session has ended' }), ...commonErrorResponses(401) },
}
