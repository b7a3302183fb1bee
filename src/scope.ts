/**
 * Scopes for endpoints of this service, only in tokens for this service. Clients may have them. A person may have `admin` only,
 * and asks for it at sign-in.
 */
export const RESERVED_SCOPES: ReadonlySet<string> = new Set(['introspect', 'admin', 'recovery'])

/** The reserved scope that a text probably means: in another case, with an ending, or with one letter wrong. */
export function nearReservedScope(text: string): string | undefined {
  const given = text.toLowerCase()
  return [...RESERVED_SCOPES].find((scope) => text !== scope && (given.startsWith(scope) || isOneEdit(given, scope)))
}

/** Whether one letter was added, left out, changed or swapped with its neighbour. */
function isOneEdit(one: string, other: string): boolean {
  const start = [...one].findIndex((letter, i) => letter !== other[i])
  if (start < 0) return Math.abs(one.length - other.length) <= 1
  const swapped =
    one.slice(0, start) +
    one
      .slice(start, start + 2)
      .split('')
      .reverse()
      .join('') +
    one.slice(start + 2)
  return (
    swapped === other ||
    one.slice(start + 1) === other.slice(start + 1) ||
    one.slice(start) === other.slice(start + 1) ||
    one.slice(start + 1) === other.slice(start)
  )
}

/** The items of a space-separated list: scopes, roles or audiences. */
export const parseScope = (text: string): string[] => text.split(' ').filter(Boolean)
