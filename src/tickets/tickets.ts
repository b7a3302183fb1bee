import { createHmac, createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Database } from '../database/database.js'
import type { Kysely } from '../database/kysely.js'
import type { Tables } from '../database/schema.js'

/** What a ticket carries for each purpose. A ticket of one purpose is never valid for another. */
interface TicketContents {
  /** The person proved the password, and must prove a second factor. */
  mfa: SignInTicket
  /** The person proved the password, has no second factor, and must enrol one. */
  enrolment: SignInTicket
  /** A passkey is being registered for this account (the challenge of WebAuthn). */
  'passkey registration': { sub: string }
  /** A passkey is being asked for its signature. Without `sub`, a passkey of any account may answer. */
  'passkey challenge': { sub?: string }
  /** A person who forgot the password may set another one. */
  recovery: { sub: string; passwordVersion: number }
}

/** The first half of a sign-in: the account as it was, and the session that the caller asked for. */
export interface SignInTicket {
  sub: string
  passwordVersion: number
  factorsVersion: number
  /** The sign-in asked for its refresh token in a cookie. */
  refreshIn?: 'cookie'
  session: { clientId: string; scope: string; audience: string; deviceName: string | null }
}

export type TicketPurpose = keyof TicketContents

export interface UsableTicket {
  /** 128 random bits. */
  id: string
  /** Unix milliseconds. */
  expiresAt: number
}

export type Ticket<Purpose extends TicketPurpose> = TicketContents[Purpose] & UsableTicket

/**
 * A ticket is a proof that this service gave to a caller, and that the caller brings back within minutes. No store holds it.
 * A ticket that is good once is recorded when it is used, until it expires.
 */
export interface Tickets {
  /** @param lifetime seconds */
  issue<Purpose extends TicketPurpose>(purpose: Purpose, contents: TicketContents[Purpose], lifetime: number): string
  /** The contents of a genuine ticket of this purpose that has not expired, or undefined. */
  read<Purpose extends TicketPurpose>(purpose: Purpose, ticket: string): Ticket<Purpose> | undefined
  /**
   * Records the use. Of all calls with one ticket, on any replica, exactly one returns true.
   *
   * @param transaction the use counts if this transaction commits
   */
  use(ticket: UsableTicket, transaction?: Kysely<Tables>): Promise<boolean>
  /** Whether the ticket was used. A ticket that was not used may be used before this call returns. */
  isUsed(ticket: UsableTicket): Promise<boolean>
}

/** The prefix never changes, so that secret scanners find a leaked ticket. */
const PREFIX = 'lkt_'
const MAX_LENGTH = 4096
/** Milliseconds between two deletions of expired records. */
const SWEEP_INTERVAL = 60_000

/**
 * A ticket is `lkt_`, its contents as JSON in base64url, a dot, and an HMAC-SHA-256 over purpose, issuer and contents.
 *
 * @param secrets REFRESH_SECRET: the first makes the MAC; all verify. The input of each MAC begins with the type of the token,
 *   so a refresh token and a ticket are never valid for each other
 * @param now Unix milliseconds
 */
export function createTickets(
  secrets: readonly [string, ...string[]],
  issuer: string,
  { db, now: databaseNow }: Database,
  now: () => number = Date.now,
): Tickets {
  const keys = secrets.map((secret) => createSecretKey(secret, 'utf8')) as [KeyObject, ...KeyObject[]]
  const mac = (key: KeyObject, purpose: TicketPurpose, contents: string) =>
    createHmac('sha256', key).update(`latchkey ticket\0${issuer}\0${purpose}\0${contents}`).digest()
  let sweptAt = 0

  function sweep(): void {
    if (now() - sweptAt < SWEEP_INTERVAL) return
    sweptAt = now()
    // A failed sweep runs again after the interval. A request that needs the database reports the failure.
    db.deleteFrom('used_tickets')
      .where('expires_at', '<=', databaseNow)
      .execute()
      .catch(() => {})
  }

  return {
    issue(purpose, contents, lifetime) {
      const id = randomBytes(16).toString('base64url')
      const ticket = JSON.stringify({ ...contents, id, expiresAt: now() + lifetime * 1000 })
      const text = Buffer.from(ticket).toString('base64url')
      return `${PREFIX}${text}.${mac(keys[0], purpose, text).toString('base64url')}`
    },

    read<Purpose extends TicketPurpose>(purpose: Purpose, ticket: string) {
      if (ticket.length > MAX_LENGTH || !ticket.startsWith(PREFIX)) return undefined
      const [text = '', presented = '', ...rest] = ticket.slice(PREFIX.length).split('.')
      const bytes = Buffer.from(presented, 'base64url')
      // A ticket has one spelling. White space, padding and spare bits are refused.
      if (rest.length > 0 || bytes.length !== 32 || bytes.toString('base64url') !== presented) return undefined
      if (!keys.some((key) => timingSafeEqual(mac(key, purpose, text), bytes))) return undefined
      const contents = JSON.parse(Buffer.from(text, 'base64url').toString()) as Ticket<Purpose>
      return now() < contents.expiresAt ? contents : undefined
    },

    async use({ id, expiresAt }, transaction = db) {
      sweep()
      const { numInsertedOrUpdatedRows } = await transaction
        .insertInto('used_tickets')
        // A minute more than the ticket lives: the clocks of replicas and of the database may differ.
        .values({ id, expires_at: Math.ceil(expiresAt) + 60_000 })
        .onConflict((conflict) => conflict.column('id').doNothing())
        .executeTakeFirst()
      return (numInsertedOrUpdatedRows ?? 0n) > 0n
    },

    async isUsed({ id }) {
      return (await db.selectFrom('used_tickets').select('id').where('id', '=', id).executeTakeFirst()) !== undefined
    },
  }
}
