import { normalizePassword } from './password-hashing.js'
import { findWeakness, type Weakness } from './password-strength.js'

type PasswordRule = 'too_short' | 'too_long' | 'is_username' | Weakness

const MAX_LENGTH = 256
const ADVICE = 'use several words that have nothing to do with each other'

export function passwordRuleText(rule: PasswordRule, minLength: number): string {
  switch (rule) {
    case 'too_short':
      return `the password is too short: use ${minLength} characters or more; several words are easy to remember`
    case 'too_long':
      return `the password is too long: use ${MAX_LENGTH} characters or fewer`
    case 'is_username':
      return `the password is the user name, or made of it: ${ADVICE}`
    case 'common':
      return `the password is very common, or made of very common ones, and attackers try it first: ${ADVICE}`
    case 'repetition':
      return `the password repeats itself, and attackers try it first: ${ADVICE}`
    case 'sequence':
      return `the password is a sequence such as abc or 123, and attackers try it first: ${ADVICE}`
    case 'keyboard':
      return `the password is a row of keys, and attackers try it first: ${ADVICE}`
    case 'date':
      return `the password is made of dates, and attackers try them first: ${ADVICE}`
  }
}

/**
 * The rule that a new password breaks, or undefined. No rule demands kinds of characters (NIST SP 800-63B-4 §3.1.1.2).
 *
 * @throws Unavailable when too many passwords wait for their estimate
 */
export async function brokenPasswordRule(
  password: string,
  { username, minLength }: { username: string; minLength: number },
): Promise<PasswordRule | undefined> {
  const normalized = normalizePassword(password)
  const { length } = [...normalized]
  if (length < minLength) return 'too_short'
  if (length > MAX_LENGTH) return 'too_long'
  const name = username.normalize('NFC').toLowerCase()
  if (normalized.toLowerCase() === name) return 'is_username'
  return findWeakness(normalized, [name, ...namesIn(name)])
}

/** The most names that a password is compared with. */
const MAX_NAMES = 8

/** The names in a user name: `ada.lovelace@example.com` has ada.lovelace, ada, lovelace and example. */
function namesIn(username: string): string[] {
  const names = [username.split('@')[0] as string, ...username.split(/[^\p{L}\p{M}]+/u)]
  return [...new Set(names)].filter((name) => name.length >= 3).slice(0, MAX_NAMES)
}
