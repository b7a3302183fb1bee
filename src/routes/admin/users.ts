import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { CreateUser, ListUsers } from '../../../schemas/admin/users.js'
import { refusal } from '../../errors.js'
import { readImportedAccount } from '../../users/import.js'
import { brokenPasswordRule, passwordRuleText } from '../../users/password.js'
import { brokenRoleRule } from '../../users/role.js'
import { brokenUsernameRule, usernameRules } from '../../users/username.js'
import type { User } from '../../users/users.js'
import { type AdminNeeds, requireAdmin } from './guard.js'
import { wordsOf } from './words.js'

/** `GET /admin/users`, `POST /admin/users`: accounts are listed and made. */
export const usersRoutes: FastifyPluginAsyncTypebox<AdminNeeds> = async (app, needs) => {
  const { users, audit, passwordMinLength: minLength } = needs

  app.get('/admin/users', { schema: ListUsers, attachValidation: true }, async (request) => {
    await requireAdmin(request, needs)
    const { cursor, username_prefix: prefix, disabled } = request.query
    const limit = Number(request.query.limit ?? 100)

    const page = await users.list({
      limit,
      after: cursor && Buffer.from(cursor, 'base64url').toString(),
      prefix,
      disabled: disabled && disabled === 'true',
    })
    const last = page.length === limit ? page.at(-1) : undefined
    return { users: page.map(userBody), next: last ? Buffer.from(last.username).toString('base64url') : null }
  })

  app.post('/admin/users', { schema: CreateUser, attachValidation: true }, async (request, reply) => {
    const by = await requireAdmin(request, needs)
    const { username, password, password_hash: passwordHash } = request.body
    const roles = wordsOf(request.body.roles)
    if ((password === undefined) === (passwordHash === undefined)) {
      throw refusal.invalidRequest('send a password or a password_hash, one of them')
    }

    const user =
      password === undefined
        ? await adopt(username, passwordHash, roles)
        : await make(username, password, roles, request.ip)

    audit(request, { event: 'user.created', sub: user.id, by })
    return reply.code(201).send(userBody(user))
  })

  async function make(username: string, password: string, roles: string[], address: string): Promise<User> {
    const usernameRule = brokenUsernameRule(username)
    if (usernameRule) throw refusal.invalidRequest(usernameRules[usernameRule])
    const roleRule = brokenRoleRule(roles)
    if (roleRule) throw refusal.invalidRequest(roleRule)
    const passwordRule = await brokenPasswordRule(password, { username, minLength })
    if (passwordRule) throw refusal.invalidRequest(passwordRuleText(passwordRule, minLength))
    const user = await users.create(username, password, roles, address)
    if (user === 'taken') throw refusal.usernameTaken()
    return user
  }

  async function adopt(username: string, passwordHash: string | undefined, roles: string[]): Promise<User> {
    const account = readImportedAccount({ username, password_hash: passwordHash, roles })
    if (typeof account === 'string') throw refusal.invalidRequest(account)
    const [outcome] = await users.import([account])
    const user = outcome === 'imported' ? await users.find(account.id) : undefined
    if (!user) throw refusal.usernameTaken()
    return user
  }
}

export function userBody({ id, username, roles, disabled, createdAt }: User) {
  return { id, username, roles, disabled, created_at: Math.floor(createdAt / 1000) }
}
