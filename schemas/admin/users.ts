import { commonErrorResponses, readErrorResponses } from '../error.js'
import { example, Password, Username } from '../fields.js'
import { Type } from '../typebox.js'
import {
  AdminBody,
  adminRoute,
  Claims,
  PasswordHash,
  Roles,
  StrictFields,
  User,
  UserId,
  userExample,
} from './fields.js'

export const CURSOR_RULE = 'must be next of the previous page'

/** `GET /admin/users` */
export const ListUsers = {
  summary: 'List the accounts by name, in pages',
  ...adminRoute,
  querystring: StrictFields({
    limit: Type.Optional(
      Type.String({
        pattern: '^([1-9][0-9]{0,2}|1000)$',
        description: 'Accounts in a page, 1 to 1000. Default: 100',
        'x-rule': 'must be a whole number from 1 to 1000',
      }),
    ),
    cursor: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 2048,
        pattern: '^[\\w-]+$',
        description: '`next` of the previous page',
        'x-rule': CURSOR_RULE,
      }),
    ),
    username: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'Only the account with this name, in any spelling' }),
    ),
    username_prefix: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 256,
        description: 'Only accounts whose names begin with it, in any spelling',
      }),
    ),
    disabled: Type.Optional(
      Type.Union([Type.Literal('true'), Type.Literal('false')], {
        description: '`true`: only disabled accounts. `false`: only enabled accounts',
      }),
    ),
  }),
  response: {
    200: Type.Object(
      {
        users: Type.Array(User),
        next: Type.Union([Type.String(), Type.Null()], {
          description: '`cursor` of the next page. `null` on the last page',
        }),
      },
      { description: 'A page of accounts', examples: [{ users: [userExample], next: null }] },
    ),
    ...readErrorResponses(401, 403),
  },
}

/** `POST /admin/users` */
export const CreateUser = {
  summary: 'Create an account',
  description: 'Send a password, or its hash from another system. Without an id, the account gets a UUID.',
  ...adminRoute,
  body: AdminBody(
    {
      username: Username,
      password: Type.Optional(Password),
      password_hash: Type.Optional(PasswordHash),
      roles: Type.Optional(Roles),
      id: Type.Optional(UserId),
      claims: Type.Optional(Claims),
    },
    {
      examples: [
        { username: example.username, password: example.password, roles: 'editor' },
        { username: example.username, password_hash: example.passwordHash },
      ],
    },
  ),
  response: {
    201: Type.Object(User.properties, { description: 'The account', examples: [userExample] }),
    ...commonErrorResponses(401, 403, 409),
  },
}
