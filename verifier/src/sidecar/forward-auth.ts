import type { IncomingMessage } from 'node:http'
import { parse } from 'node:querystring'
import { soleBearerToken } from '../token/bearer.js'
import type { AccessTokenClaims } from '../token/claims.js'
import { findObjection } from '../token/forward-auth.js'
import { TokenError } from '../token/token-error.js'
import type { Verifier } from '../token-verifier.js'
import { type Answer, admit, refusals } from './answers.js'

/** Answers the question of a gateway: whether to admit a request. Equal to `/verify` of the service. */
interface ForwardAuth {
  /** @param query the query of the address, without the question mark. @param onRefused is called with the error of a refused token */
  answer(
    request: IncomingMessage,
    query: string | undefined,
    onRefused: (error: TokenError) => void,
  ): Promise<Answer> | Answer
}

export function createForwardAuth(verifier: Verifier): ForwardAuth {
  return {
    answer(request, query, onRefused) {
      const { authorization } = request.headers
      if (!authorization) return refusals.missingToken
      const token = soleBearerToken(authorization, request.rawHeaders)
      if (token === undefined) return refusals.invalidToken
      return verifier.verify(token).then(
        (claims) => (query === undefined ? undefined : refuseByQuery(claims, query)) ?? admit(claims),
        (error: unknown) => {
          if (!(error instanceof TokenError)) throw error
          onRefused(error)
          return error.code === 'unavailable' ? refusals.unavailable : refusals.invalidToken
        },
      )
    },
  }
}

function refuseByQuery(claims: AccessTokenClaims, query: string): Answer | undefined {
  // Node's limit of 1,000 parameters would hide a demand behind others.
  const objection = findObjection(claims, parse(query, '&', '=', { maxKeys: 0 }))
  switch (objection?.fault) {
    case undefined:
      return undefined
    case 'misspelt':
      return refusals.misspelt[objection.meant]
    case 'missing':
      return refusals[objection.what]
    case 'broken':
      return refusals.brokenQuestion(objection.description)
    case 'authentication':
      return refusals.insufficientAuthentication(objection.demand)
  }
}
