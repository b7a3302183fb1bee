import { type AuthenticationDemand, meetsAuthentication } from './authentication.js'
import type { AccessTokenClaims, Actor } from './claims.js'

/** The parameters by which a gateway demands something of a token. */
type Demand = 'aud' | 'scope' | 'role' | 'acr' | 'max_age'

/** Why a token does not answer the question of a gateway, or why the question is wrong. */
export type Objection =
  | { fault: 'misspelt'; meant: Demand }
  | { fault: 'missing'; what: 'audience' | 'scope' | 'role' }
  | { fault: 'broken'; description: string }
  | { fault: 'authentication'; demand: AuthenticationDemand }

/** A parsed query. A parameter that appears twice has a list of its values. */
export type Question = Readonly<Record<string, string | readonly string[] | undefined>>

const DEMANDS: ReadonlySet<string> = new Set(['aud', 'scope', 'role', 'acr', 'max_age'])
/** What a name without its marks may mean. */
const MEANT: ReadonlyMap<string, Demand> = new Map([
  ['scope', 'scope'],
  ['aud', 'aud'],
  ['audience', 'aud'],
  ['role', 'role'],
  ['acr', 'acr'],
  ['acrvalue', 'acr'],
  ['maxage', 'max_age'],
])

/**
 * Checks the claims of a live token against the question of a gateway (forward authentication).
 *
 * A misspelt parameter is refused: `roles=admin` would demand nothing, and so admit everyone. Other unknown names are ignored,
 * because Caddy, Envoy and Istio add their caller's query. A caller who adds a misspelt name only locks itself out.
 */
export function findObjection(claims: AccessTokenClaims, question: Question): Objection | undefined {
  for (const name in question) {
    const meant = DEMANDS.has(name) ? undefined : MEANT.get(plainName(name))
    if (meant) return { fault: 'misspelt', meant }
  }
  const scopes = split(claims.scope)
  const roles = claims.roles ?? []
  if (!demanded(question, 'aud').every((aud) => claims.aud === aud)) return { fault: 'missing', what: 'audience' }
  if (!demanded(question, 'scope').every((scope) => scopes.includes(scope))) return { fault: 'missing', what: 'scope' }
  if (!demanded(question, 'role').every((role) => roles.includes(role))) return { fault: 'missing', what: 'role' }
  return findAuthenticationObjection(claims, demanded(question, 'acr'), demanded(question, 'max_age'))
}

/**
 * Checks the demanded authentication (RFC 9470). When a parameter appears twice, the stricter value counts. A value that means
 * nothing is refused: ignoring it would demand nothing.
 */
function findAuthenticationObjection(
  claims: AccessTokenClaims,
  acrs: readonly string[],
  ages: readonly string[],
): Objection | undefined {
  if (acrs.length === 0 && ages.length === 0) return undefined
  if (!acrs.every((acr) => acr === '1' || acr === '2')) return { fault: 'broken', description: 'acr must be 1 or 2' }
  if (!ages.every((age) => /^\d{1,9}$/.test(age))) {
    return { fault: 'broken', description: 'max_age must be a whole number of seconds' }
  }
  const demand: AuthenticationDemand = {
    ...(acrs.length > 0 && { acr: acrs.includes('2') ? '2' : '1' }),
    ...(ages.length > 0 && { maxAge: Math.min(...ages.map(Number)) }),
  }
  return meetsAuthentication(claims, demand, Date.now()) ? undefined : { fault: 'authentication', demand }
}

/**
 * The headers of an admitted request. The answer always has every header. A gateway overwrites its caller's headers only with
 * headers of this answer, and Caddy copies a literal placeholder for a missing one.
 */
export function identityHeaders(claims: AccessTokenClaims): Readonly<Record<string, string>> {
  return {
    'cache-control': 'no-store',
    'x-auth-sub': claims.sub,
    'x-auth-sid': claims.sid ?? '',
    'x-auth-client-id': claims.client_id,
    'x-auth-scope': claims.scope,
    'x-auth-roles': claims.roles?.join(' ') ?? '',
    'x-auth-time': claims.auth_time === undefined ? '' : String(claims.auth_time),
    'x-auth-amr': claims.amr?.join(' ') ?? '',
    'x-auth-acr': claims.acr ?? '',
    'x-auth-act': actorsOf(claims.act).join(' '),
  }
}

/** The ids of a chain of actors (RFC 8693 §4.1). The present actor is first. */
export function actorsOf(act: Actor | undefined): string[] {
  const actors: string[] = []
  for (let actor = act; actor; actor = actor.act) actors.push(actor.sub)
  return actors
}

/** A name without case, plural, brackets, other marks and the `amp;` that HTML leaves behind. */
export function plainName(name: string): string {
  return name
    .normalize('NFKC')
    .toLowerCase()
    .replace(/^amp;|\[.*$/gs, '')
    .replace(/[^a-z0-9]/g, '')
    .replace(/s$/, '')
}

/** Whether the headers announce a body. A gateway may announce a body that it never sends. */
export function announcesBody(headers: Readonly<Record<string, string | string[] | undefined>>): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/**
 * The demanded values of a parameter. When the parameter appears twice, all values count. Caddy adds its caller's query to the
 * gateway's, and so a caller can only demand more of itself.
 */
const demanded = (question: Question, name: Demand): string[] => [question[name] ?? []].flat().flatMap(split)

const split = (text: string): string[] => text.split(' ').filter(Boolean)
