import { isScopeToken } from '@latchkey/verifier/access-token'

/** People with this role administrate the service. */
export const ADMIN_ROLE = 'latchkey-admin'

const MAX_LENGTH = 64
/** Each access token has all roles of its account, and travels in a header. */
const MAX_ROLES = 32

/** The rule that these roles break, as a sentence; undefined when they break none. */
export function brokenRoleRule(roles: readonly string[]): string | undefined {
  if (roles.length > MAX_ROLES) return `an account has at most ${MAX_ROLES} roles: leave some out`
  if (roles.every(isRole)) return undefined
  return `a role has 1 to ${MAX_LENGTH} characters of printable ASCII, with no space, double quote, comma or backslash`
}

/** The rule that imported roles break, as a sentence. A file of another system makes nobody an administrator. */
export function brokenImportedRoleRule(roles: readonly string[]): string | undefined {
  if (roles.includes(ADMIN_ROLE)) {
    return `${ADMIN_ROLE} is never imported: leave it out, and give it with \`latchkey users roles\` after the import`
  }
  return brokenRoleRule(roles)
}

/** A role is a scope token without a comma, because gateways and headers list roles with spaces or commas between them. */
const isRole = (role: string): boolean => isScopeToken(role) && !role.includes(',') && role.length <= MAX_LENGTH
