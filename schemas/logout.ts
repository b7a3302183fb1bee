import { Type } from 'typebox'
import { refusals } from './error.js'
import { example, Fields, Token } from './fields.js'

const body = Fields({ token: Type.Optional(Token) }, { examples: [{ token: example.accessToken }] })

/** `POST /logout` */
export const Logout = {
  summary: 'Sign out',
  description:
    'Ends the session of an access or refresh token, of any audience, given as the bearer token or in the body. The token ' +
    'may have expired. Answers 204 also when the session has ended before, and for a token that is not ours. Answers 401 ' +
    'where the token was made with a key that the service does not have: refresh, and sign out with the new token.',
  tags: ['sessions'],
  security: [{}, { bearer: [] }],
  body,
  response: { 204: Type.Null({ description: 'The session has ended, everywhere' }), ...refusals(401) },
}

/** `POST /logout-all` */
export const LogoutAll = {
  summary: 'Sign out everywhere',
  description:
    'Ends every session of the user. The token must be live: a refresh token, or an access token for `ISSUER` or the default ' +
    'audience.',
  tags: ['sessions'],
  security: [{}, { bearer: [] }],
  body,
  response: { 204: Type.Null({ description: 'Every session has ended' }), ...refusals(401) },
}
