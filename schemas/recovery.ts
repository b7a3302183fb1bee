import { ownErrorResponses } from './error.js'
import { endedRecoveryToken, noSuchAccount } from './factor-errors.js'
import { example, Fields, Password, PostedCredentials, Token, Username } from './fields.js'
import { Type } from './typebox.js'

/** `POST /recovery` */
export const RequestRecovery = {
  summary: 'Get a token with which a person sets a new password',
  description:
    'For clients with the scope `recovery`, whose mailer delivers the token. An unknown or disabled account gets 404: give the ' +
    'person the same answer for every name, and send the mail in the background. The token is good once, for 15 minutes, until the ' +
    'password changes.',
  tags: ['services'],
  security: [{}, { clientToken: [] }, { basic: [] }],
  body: Fields({ username: Username, ...PostedCredentials }, { examples: [{ username: example.username }] }),
  response: {
    200: Type.Object(
      {
        token: Type.String({ description: 'A secret, for `/recovery/complete`' }),
        expires_in: Type.Integer({ description: 'Seconds' }),
        sub: Type.String(),
        username: Type.String({ description: 'As the account has it' }),
      },
      {
        description: 'The token',
        examples: [{ token: 'lkt_eyJzdWIiOiI….Kq3N…', expires_in: 900, sub: example.user, username: example.username }],
      },
    ),
    ...ownErrorResponses({ 404: noSuchAccount }, 401, 403),
  },
}

/** `POST /recovery/complete` */
export const CompleteRecovery = {
  summary: 'Set a new password with a recovery token',
  description:
    'Ends every session of the user. The person then signs in with the new password, and with the second factor if the account has ' +
    'one.',
  tags: ['users'],
  body: Fields(
    { token: Token, new_password: Password },
    { examples: [{ token: 'lkt_eyJzdWIiOiI….Kq3N…', new_password: 'seven tame otters hum' }] },
  ),
  response: { 204: Type.Null({ description: 'Changed' }), ...ownErrorResponses({ 400: endedRecoveryToken }) },
}
