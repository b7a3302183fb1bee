import { Type } from 'typebox'
import { refusals } from '../error.js'
import { example, Password, Username } from '../fields.js'
import { AdminBody, byAdmin, Exactly, PasswordHash, Roles, User, userExample } from './fields.js'

export const CURSOR_RULE = 'must be what next of the page before was'

/** `GET /admin/users` */
export const ListUsers = {
  summary: 'List accounts, by name, in pages',
  ...byAdmin,
  querystring: Exactly({
    limit: Type.Optional(
      Type.String({
        pattern: '^([1-9][0-9]{0,2}|1000)$',
        description: 'Accounts in a page, 1 to 1000; 100 if left out',
        'x-rule': 'must be a whole number from 1 to 1000',
      }),
    ),
    cursor: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 2048,
        pattern: '^[\\w-]+$',
        description: '`next` of the page before',
        'x-rule': CURSOR_RULE,
      }),
    ),
    username: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'Only the account of this name, in any spelling' }),
    ),
    username_prefix: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'Only names that begin so, in any spelling' }),
    ),
    disabled: Type.Optional(
      Type.Union([Type.Literal('true'), Type.Literal('false')], { description: 'Only disabled ones, or only others' }),
    ),
  }),
  response: {
    200: Type.Object(
      {
        users: Type.Array(User),
        next: Type.Union([Type.String(), Type.Null()], { description: 'Of the next page; null: this is the last' }),
      },
      { description: 'A page of accounts', examples: [{ users: [userExample], next: null }] },
    ),
    ...refusals(401, 403),
  },
}

/** `POST /admin/users` */
export const CreateUser = {
  summary: 'Make an account',
  description: 'With a password, or with the hash that another system has of it.',
  ...byAdmin,
  body: AdminBody(
    {
      username: Username,
      password: Type.Optional(Password),
      password_hash: Type.Optional(PasswordHash),
      roles: Type.Optional(Roles),
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
    ...refusals(401, 403, 409),
  },
}
