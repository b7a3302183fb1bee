import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { CreateUser, CURSOR_RULE, ListUsers } from '../../../schemas/admin/users.js'
import { refusal } from '../../http/errors.js'
import { readImportedAccount } from '../../users/import.js'
import { brokenPasswordRule, passwordRuleText } from '../../users/password-rules.js'
import { brokenRoleRule } from '../../users/role.js'
import { isUserId, USER_ID_RULE } from '../../users/user-id.js'
import { brokenUsernameRule, usernameRules } from '../../users/username.js'
import type { NewUser, User } from '../../users/users.js'
import { callingAdministrator } from '../guards/caller.js'
import { readClaims } from '../requests/account-claims.js'
import { parseList } from '../requests/list.js'
import { userBody } from '../responses/user.js'
import type { AdminDependencies } from './dependencies.js'

/** `GET /admin/users`, `POST /admin/users`: list and create accounts. */
export const usersRoutes: FastifyPluginAsyncTypebox<AdminDependencies> = async (app, dependencies) => {
  const { users, audit, passwordMinLength: minLength } = dependencies

  app.get('/admin/users', { schema: ListUsers }, async (request) => {
    const { cursor, username, username_prefix: prefix } = request.query
    const limit = Number(request.query.limit ?? 100)
    const disabled = request.query.disabled && request.query.disabled === 'true'
    if (username !== undefined) {
      if (cursor !== undefined || prefix !== undefined) {
        throw refusal.invalidRequest('username selects one account: send it without cursor and username_prefix')
      }
      const user = await users.findByName(username)
      const isListed = user && (disabled === undefined || user.disabled === disabled)
      return { users: isListed ? [userBody(user)] : [], next: null }
    }

    const page = await users.list({ limit, after: cursor && readCursor(cursor), prefix, disabled })
    const last = page.length === limit ? page.at(-1) : undefined
    return { users: page.map(userBody), next: last ? writeCursor(last.username) : null }
  })

  app.post('/admin/users', { schema: CreateUser }, async (request, reply) => {
    const { id: by } = callingAdministrator(request)
    const { username, password, password_hash: passwordHash, id } = request.body
    const roles = parseList(request.body.roles)
    const claims = readClaims(request.body.claims ?? {})
    if ((password === undefined) === (passwordHash === undefined)) {
      throw refusal.invalidRequest('send either password or password_hash')
    }

    const user =
      password === undefined
        ? await importOne({ username, password_hash: passwordHash, roles, id, claims })
        : await create({ username, password, roles, id, claims }, request.ip)

    audit(request, { event: 'user.created', sub: user.id, by })
    return reply.code(201).send(userBody(user))
  })

  async function create(account: NewUser, address: string): Promise<User> {
    const { username, password, roles = [], id } = account
    const usernameRule = brokenUsernameRule(username)
    if (usernameRule) throw refusal.invalidRequest(usernameRules[usernameRule])
    const roleRule = brokenRoleRule(roles)
    if (roleRule) throw refusal.invalidRequest(roleRule)
    const passwordRule = await brokenPasswordRule(password, { username, minLength })
    if (passwordRule) throw refusal.invalidRequest(passwordRuleText(passwordRule, minLength))
    if (id !== undefined && !isUserId(id)) throw refusal.invalidRequest(USER_ID_RULE)
    const user = await users.create(account, address)
    if (user === 'id_taken') throw refusal.userIdTaken()
    if (user === 'taken') throw refusal.usernameTaken()
    return user
  }

  async function importOne(line: object): Promise<User> {
    const account = readImportedAccount(line)
    if (typeof account === 'string') throw refusal.invalidRequest(account)
    const [outcome] = await users.import([account])
    if (outcome === 'id_taken') throw refusal.userIdTaken()
    const user = outcome === 'imported' ? await users.find(account.id) : undefined
    if (!user) throw refusal.usernameTaken()
    return user
  }
}

/** A cursor is the encoded last name of a page. */
const writeCursor = (username: string): string => Buffer.from(username).toString('base64url')

function readCursor(cursor: string): string {
  const username = Buffer.from(cursor, 'base64url').toString()
  const isCursor = writeCursor(username) === cursor && !/[\p{Cc}\p{Z}]/u.test(username)
  if (!isCursor) throw refusal.invalidRequest(`query parameter cursor ${CURSOR_RULE}`)
  return username
}
