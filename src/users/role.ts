/** A word of a scope (RFC 6749 §3.3) with no comma in it: gateways and headers list roles with spaces or commas between. */
const ROLE = /^[!#-+\x2d-[\]-~]{1,64}$/
/** All of them stand in each access token, which stands in a header. */
const MAX_ROLES = 32

/** The rule that these roles break, in words; undefined where they break none. */
export function brokenRoleRule(roles: readonly string[]): string | undefined {
  if (roles.length > MAX_ROLES) return `an account may have ${MAX_ROLES} roles`
  if (roles.every((role) => ROLE.test(role))) return undefined
  return 'a role has 1 to 64 characters of printable ASCII, with no space, quote, comma or backslash'
}
