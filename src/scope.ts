/** One scope (RFC 6749 §3.3): printable ASCII without space, quote and backslash. Audiences obey the same rule. */
export const isScopeToken = (text: string): boolean => /^[!#-[\]-~]+$/.test(text)

/** The scopes of a space-separated list. */
export const parseScope = (text: string): string[] => text.split(' ').filter(Boolean)
