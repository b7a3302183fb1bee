import type { Database } from '../database/database.js'
import { createTickets, type Tickets } from '../tickets/tickets.js'
import type { Factors } from './factor.js'
import { createFactors } from './factors.js'
import { createPasskeyCeremonies, type PasskeyCeremonies } from './passkey-ceremonies.js'
import { createPasskeys, type RelyingParty } from './passkeys.js'
import { createSealing } from './sealing.js'

interface SecondFactorOptions {
  issuer: string
  refreshSecrets: readonly [string, ...string[]]
  /** Empty: nobody can enrol TOTP. */
  dataSecrets: readonly string[]
  relyingParty: RelyingParty
}

interface SecondFactors {
  factors: Factors
  passkeyCeremonies: PasskeyCeremonies
  tickets: Tickets
}

/** The parts of this room, connected. */
export function createSecondFactors(
  database: Database,
  { issuer, refreshSecrets, dataSecrets: [first, ...others], relyingParty }: SecondFactorOptions,
): SecondFactors {
  const tickets = createTickets(refreshSecrets, issuer, database)
  const factors = createFactors(database, first === undefined ? undefined : createSealing([first, ...others]), tickets)
  const passkeyCeremonies = createPasskeyCeremonies(factors, createPasskeys(relyingParty), tickets)
  return { factors, passkeyCeremonies, tickets }
}
