import type { Database } from '../database/database.js'
import type { SingleUse } from '../sessions/session.js'
import {
  type AssertionAuthentication,
  type AssertionMethod,
  type AssertionOutcome,
  createAssertionAuthentication,
} from './assertions.js'
import { type Clients, createClients } from './clients.js'
import { createSignerKeys } from './signer-keys.js'
import { createTrustedIssuers, type TrustedIssuers } from './trusted-issuers.js'

/** The clients of a running service, which authenticates them. */
export type ServiceClients = Clients & AssertionAuthentication

/**
 * Connects clients, trusted issuers, and the keys of both.
 *
 * @param useOnce records in the session store that an assertion was used
 * @param count counts each assertion
 */
export function openClients(
  database: Database,
  { issuer, production }: { issuer: string; production: boolean },
  useOnce: (use: SingleUse) => Promise<boolean>,
  count: (method: AssertionMethod, outcome: AssertionOutcome) => void,
  logger: { warn(fields: object, message: string): void },
): { clients: ServiceClients; issuers: TrustedIssuers } {
  const keys = createSignerKeys({
    plainHttp: !production,
    onFailure: (signer, reason) =>
      logger.warn({ signer, reason }, 'the keys of a signer of assertions cannot be fetched'),
  })
  const clients = createClients(database)
  const issuers = createTrustedIssuers(database, keys.ofIssuer)
  return {
    clients: { ...clients, ...createAssertionAuthentication({ clients, issuers, keys, useOnce, issuer, count }) },
    issuers,
  }
}
