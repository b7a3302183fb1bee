import { hostileClaims } from './claims.js'
import { Forger, type HostileToken } from './forger.js'
import { hostileHeaders } from './header.js'
import { hostilePayloads } from './payload.js'
import { hostileSpellings } from './spelling.js'

export { Forger, type HostileToken }

/**
 * The hostile tokens J1–J23 and J27–J35. Each is a live token with one defect, so that nothing else refuses it.
 * `forger.token()` without a defect must be accepted. Otherwise a test with these tokens proves nothing.
 */
export function hostileTokens(forger: Forger): HostileToken[] {
  return [...hostileHeaders(forger), ...hostileClaims(forger), ...hostileSpellings(forger), ...hostilePayloads(forger)]
}

/** The tokens by abuse case, in order. */
export function byCase(tokens: readonly HostileToken[]): [id: string, tokens: HostileToken[]][] {
  const groups = new Map<string, HostileToken[]>()
  for (const token of tokens) groups.set(token.id, [...(groups.get(token.id) ?? []), token])
  return [...groups].sort(([a], [b]) => Number(a.slice(1)) - Number(b.slice(1)))
}
