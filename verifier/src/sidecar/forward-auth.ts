import type { IncomingMessage } from 'node:http'
import { parse } from 'node:querystring'
import { type AuthenticationDemand, meetsAuthentication } from '../token/authentication.js'
import type { AccessTokenClaims } from '../token/claims.js'
import { TokenError, type TokenErrorCode } from '../token/token-error.js'
import type { Verifier } from '../token-verifier.js'
import { type Answer, admit, refusals } from './answers.js'

/** One space and one token (RFC 6750 §2.1). The scheme's name may have any case (RFC 9110 §11.1). */
const BEARER = /^bearer ([\w.~+/-]+=*)$/i

type Name = 'aud' | 'scope' | 'role' | 'acr' | 'max_age'
const NAMES: ReadonlySet<string> = new Set(['aud', 'scope', 'role', 'acr', 'max_age'])
/** The parameters that narrow the demand, by the name that a caller may have meant. */
const MEANT: Readonly<Record<string, Name>> = {
  scope: 'scope',
  aud: 'aud',
  audience: 'aud',
  role: 'role',
  acr: 'acr',
  acrvalue: 'acr',
  maxage: 'max_age',
}

/** Answers the question of a gateway: whether to admit a request. Equal to `/verify` of the service. */
export interface ForwardAuth {
  /** @param query the query of the address, without the question mark. @param onRefused is called with each refused token */
  answer(
    request: IncomingMessage,
    query: string | undefined,
    onRefused: (code: TokenErrorCode) => void,
  ): Promise<Answer> | Answer
}

export function createForwardAuth(verifier: Verifier): ForwardAuth {
  return {
    answer(request, query, onRefused) {
      const { authorization } = request.headers
      if (!authorization) return refusals.missingToken
      const token = BEARER.exec(authorization)?.[1]
      // Node keeps the first of two headers. The application behind the gateway may read the second, which nobody checked.
      if (token === undefined || countAuthorizations(request.rawHeaders) !== 1) return refusals.invalidToken
      return verifier.verify(token).then(
        (claims) => (query === undefined ? undefined : refuseByQuery(claims, query)) ?? admit(claims),
        (error: unknown) => {
          if (!(error instanceof TokenError)) throw error
          onRefused(error.code)
          return error.code === 'unavailable' ? refusals.unavailable : refusals.invalidToken
        },
      )
    },
  }
}

function refuseByQuery(claims: AccessTokenClaims, query: string): Answer | undefined {
  // Node's limit of 1,000 parameters would hide a demand behind others.
  const parameters = parse(query, '&', '=', { maxKeys: 0 })
  for (const name in parameters) {
    if (NAMES.has(name)) continue
    const meant = meantName(name)
    if (meant) return refusals.misspelt[meant]
  }
  const demanded = (name: Name) => [parameters[name] ?? []].flat().flatMap(split)
  const scopes = split(claims.scope)
  const roles = claims.roles ?? []
  if (!demanded('aud').every((aud) => claims.aud === aud)) return refusals.audience
  if (!demanded('scope').every((scope) => scopes.includes(scope))) return refusals.scope
  if (!demanded('role').every((role) => roles.includes(role))) return refusals.role
  return refuseByAuthentication(claims, demanded('acr'), demanded('max_age'))
}

/** A value that means nothing is refused: ignoring it would demand nothing. The stricter of two values counts. */
function refuseByAuthentication(claims: AccessTokenClaims, acrs: string[], ages: string[]): Answer | undefined {
  if (acrs.length === 0 && ages.length === 0) return undefined
  if (!acrs.every((acr) => acr === '1' || acr === '2')) return refusals.brokenQuestion('acr must be 1 or 2')
  if (!ages.every((age) => /^\d{1,9}$/.test(age))) {
    return refusals.brokenQuestion('max_age must be a whole number of seconds')
  }
  const demand: AuthenticationDemand = {
    ...(acrs.length > 0 && { acr: acrs.includes('2') ? '2' : '1' }),
    ...(ages.length > 0 && { maxAge: Math.min(...ages.map(Number)) }),
  }
  return meetsAuthentication(claims, demand, Date.now()) ? undefined : refusals.insufficientAuthentication(demand)
}

/** The parameter that a misspelt name means: ignoring `roles=admin` would admit everyone. Other names are ignored. */
function meantName(name: string): Name | undefined {
  const word = name
    .normalize('NFKC')
    .toLowerCase()
    .replace(/^amp;|\[.*$/gs, '')
    .replace(/[^a-z0-9]/g, '')
    .replace(/s$/, '')
  return Object.hasOwn(MEANT, word) ? MEANT[word] : undefined
}

const split = (text: string): string[] => text.split(' ').filter(Boolean)

function countAuthorizations(rawHeaders: readonly string[]): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (name.length === 13 && name.toLowerCase() === 'authorization') count += 1
  }
  return count
}
