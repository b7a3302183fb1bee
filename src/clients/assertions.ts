import { createHash } from 'node:crypto'
import { parseAssertion, TokenError, type UnverifiedAssertion } from '@latchkey/verifier/assertion'
import { type Clock, systemClock } from '@latchkey/verifier/clock'
import type { SingleUse } from '../sessions/session.js'
import { checkClientAssertion, checkIssuerToken } from './assertion-claims.js'
import type { PresentedAssertion } from './client-authentication.js'
import type { Client, Clients } from './clients.js'
import type { SignerKeys } from './signer-keys.js'
import type { TrustedIssuers } from './trusted-issuers.js'

/** Who signed the assertion: the client itself, or a trusted issuer. */
export type AssertionMethod = 'private_key_jwt' | 'trusted_issuer'

export type AssertionOutcome = 'accepted' | 'refused' | 'replayed'

type AssertionResult =
  | { outcome: 'accepted'; method: AssertionMethod; client: Client }
  | {
      outcome: 'refused'
      method: AssertionMethod
      /** For the audit log, never for the caller. */
      reason: string
      /** The trusted issuer and the subject of a genuine token to which no client is bound. */
      unbound?: { issuer: string; subject: string }
    }

export interface AssertionAuthentication {
  /**
   * Authenticates a client by an assertion (RFC 7521 §4.2, RFC 7523 §2.2).
   *
   * Throws `Unavailable` if a store does not answer, or cannot say whether the assertion was used before.
   */
  authenticateAssertion(presented: PresentedAssertion): Promise<AssertionResult>
}

interface Dependencies {
  clients: Clients
  issuers: TrustedIssuers
  keys: SignerKeys
  /** Returns true for one caller on all replicas. See the session store. */
  useOnce(use: SingleUse): Promise<boolean>
  /** `ISSUER`: the `aud` of every assertion. */
  issuer: string
  count(method: AssertionMethod, outcome: AssertionOutcome): void
  clock?: Clock
}

/** The address of the token endpoint: of metadata, and of assertions. */
export const tokenEndpoint = (issuer: string): string => `${issuer.replace(/\/$/, '')}/token`

export function createAssertionAuthentication(dependencies: Dependencies): AssertionAuthentication {
  const { clients, issuers, keys, useOnce, issuer, count, clock = systemClock } = dependencies
  // Many libraries send the address of the token endpoint, as the first edition of RFC 7523 proposes.
  const audiences = [issuer, tokenEndpoint(issuer)]

  /** A client signs with its own key. Its assertion is good once. */
  async function authenticateByKey(assertion: UnverifiedAssertion): Promise<Client> {
    const { clientId, jti, expiresAt, notBefore } = checkClientAssertion(assertion, audiences, clock.wall())
    const client = await clients.find(clientId)
    if (!client) throw new Refused('unknown_client')
    await verifyByClient(client, assertion)
    const id = createHash('sha256')
      .update(JSON.stringify(['client assertion', clientId, jti]))
      .digest('base64url')
    if (!(await useOnce({ id, notBefore, deadline: expiresAt }))) throw new Refused('replayed')
    return client
  }

  async function verifyByClient(client: Client, assertion: UnverifiedAssertion): Promise<void> {
    try {
      await verifyBy(client)
    } catch (error) {
      // Another process may have given the client new keys, and these must work at once. So a wrong signature costs one query,
      // as a wrong secret does.
      const found = await clients.reload(client.id).catch(() => undefined)
      if (!found || (found.jwks === client.jwks && found.jwksUri === client.jwksUri)) throw error
      await verifyBy(found)
    }

    async function verifyBy(signer: Client): Promise<void> {
      const own = keys.ofClient(signer)
      if (!own) throw new Refused('no_keys')
      await own.verify(assertion)
    }
  }

  /** A trusted issuer vouches for the client. Its token is good until it expires. */
  async function authenticateByIssuer(assertion: UnverifiedAssertion): Promise<Client> {
    const { iss, sub } = checkIssuerToken(assertion, issuer, clock.wall())
    let refused: unknown = new Refused('unknown_issuer')
    for (const { name, keys } of await issuers.find(iss, sub)) {
      try {
        await keys.verify(assertion)
      } catch (error) {
        refused = error
        continue
      }
      const client = await clients.findBound({ issuer: name, subject: sub })
      if (client) return client
      refused = new Refused('unbound', { issuer: name, subject: sub })
    }
    throw refused
  }

  return {
    async authenticateAssertion({ assertion: text, clientId }) {
      let method: AssertionMethod = 'private_key_jwt'
      try {
        const assertion = parseAssertion(text)
        const isOwn = assertion.claims.iss === assertion.claims.sub
        if (!isOwn) method = 'trusted_issuer'
        const client = await (isOwn ? authenticateByKey(assertion) : authenticateByIssuer(assertion))
        if (clientId !== undefined && clientId !== client.id) throw new Refused('other_client_id')
        count(method, 'accepted')
        return { outcome: 'accepted', method, client }
      } catch (error) {
        if (!(error instanceof Refused || error instanceof TokenError)) throw error
        const reason = error instanceof Refused ? error.reason : error.code
        count(method, reason === 'replayed' ? 'replayed' : 'refused')
        const unbound = error instanceof Refused ? error.unbound : undefined
        return { outcome: 'refused', method, reason, ...(unbound && { unbound }) }
      }
    },
  }
}

class Refused extends Error {
  constructor(
    readonly reason: 'unknown_client' | 'no_keys' | 'replayed' | 'unknown_issuer' | 'unbound' | 'other_client_id',
    readonly unbound?: { issuer: string; subject: string },
  ) {
    super(reason)
  }
}
