import { randomBytes } from 'node:crypto'
import { inTransaction } from '../database/conflicts.js'
import type { Database } from '../database/database.js'
import { type Kysely, type SqlBool, sql } from '../database/kysely.js'
import type { FactorRow, Tables } from '../database/schema.js'
import type { Tickets } from '../tickets/tickets.js'
import { Unavailable } from '../unavailable.js'
import {
  FACTOR_TYPES,
  type Factor,
  type FactorList,
  type Factors,
  type FactorType,
  type OwnedPasskey,
} from './factor.js'
import { newRecoveryCode, RECOVERY_CODES, recoveryCodeHash } from './recovery-codes.js'
import type { Sealing } from './sealing.js'
import { changeFactors, useWithTicket } from './transactions.js'

/** Loaded with the first code: otpauth takes 7 ms and 4 MB, and most sign-ins need none of it. */
const loadTotp = () => import('./totp.js')

/** Milliseconds for which an enrolment of TOTP can be confirmed. */
const ENROLMENT_LIFETIME = 10 * 60_000
/** Rows that `reseal` reads at once. */
const PAGE = 500

/** The place of a TOTP secret, so that it opens nowhere else. */
export const totpContext = ({ id, sub }: { id: string; sub: string }): string => `totp\0${sub}\0${id}`

/**
 * @param tickets without them, no ticket can come with a code
 * @param now Unix milliseconds. Codes count by the clock of this process, as phones do: the database's may be another
 */
export function createFactors(
  { db, now: databaseNow, forUpdate }: Database,
  sealing: Sealing | undefined,
  tickets?: Pick<Tickets, 'use'>,
  now: () => number = Date.now,
): Factors {
  const rows = (sub: string) => db.selectFrom('factors').selectAll().where('sub', '=', sub)
  const requireSealing = (): Sealing => {
    if (!sealing)
      throw new Unavailable('data_secret', 'an account has TOTP: set DATA_SECRET to the secret that sealed it')
    return sealing
  }

  async function writeRecoveryCodes(transaction: Kysely<Tables>, sub: string): Promise<string[]> {
    const codes = Array.from({ length: RECOVERY_CODES }, newRecoveryCode)
    await transaction.deleteFrom('recovery_codes').where('sub', '=', sub).execute()
    await transaction
      .insertInto('recovery_codes')
      .values(codes.map((code) => ({ sub, hash: recoveryCodeHash(sub, code) })))
      .execute()
    return codes
  }

  async function list(sub: string): Promise<FactorList> {
    const [found, { codes }] = await Promise.all([
      rows(sub).where('confirmed_at', 'is not', null).orderBy('created_at').orderBy('id').execute(),
      db
        .selectFrom('recovery_codes')
        .select(({ fn }) => fn.countAll<number>().as('codes'))
        .where('sub', '=', sub)
        .executeTakeFirstOrThrow(),
    ])
    return { factors: found.map(toFactor), recoveryCodes: Number(codes) }
  }

  return {
    canEnrolTotp: sealing !== undefined,

    list,

    async types(sub) {
      const { factors, recoveryCodes } = await list(sub)
      const has = (type: FactorType) =>
        type === 'recovery_code' ? recoveryCodes > 0 : factors.some((factor) => factor.type === type)
      return FACTOR_TYPES.filter(has)
    },

    async beginTotp(sub) {
      const { newTotpSecret } = await loadTotp()
      const secret = newTotpSecret()
      const id = newFactorId()
      const row = { id, sub, secret: requireSealing().seal(secret, totpContext({ id, sub })) }
      await inTransaction(db, async (transaction) => {
        // Of two requests at once the second replaces the secret of the first. Without this lock both would stay.
        await sql`SELECT id FROM users WHERE id = ${sub} ${forUpdate}`.execute(transaction)
        await transaction.deleteFrom('factors').where('sub', '=', sub).where('confirmed_at', 'is', null).execute()
        await transaction
          .insertInto('factors')
          .values({ ...row, ...EMPTY, type: 'totp', created_at: databaseNow })
          .execute()
      })
      return secret
    },

    async confirmTotp(owner, code, name) {
      const { findTotpStep } = await loadTotp()
      const since = sql<number>`${databaseNow} - ${sql.lit(ENROLMENT_LIFETIME)}`
      const pending = await rows(owner.id)
        .where('confirmed_at', 'is', null)
        .where('created_at', '>', since)
        .executeTakeFirst()
      const step = pending && findTotpStep(requireSealing().open(pending.secret, totpContext(pending)), code, now())
      if (!pending || step === undefined) return { outcome: 'not_found' }
      return changeFactors(db, owner, async (transaction, before) => {
        await transaction
          .deleteFrom('factors')
          .where('sub', '=', owner.id)
          .where('type', '=', 'totp')
          .where('id', '<>', pending.id)
          .execute()
        const row = await transaction
          .updateTable('factors')
          // The code that confirms is used: it does not sign in as well.
          .set({ confirmed_at: databaseNow, name, counter: step })
          .where('id', '=', pending.id)
          .where('confirmed_at', 'is', null)
          .returningAll()
          .executeTakeFirst()
        if (!row) return undefined
        const recoveryCodes = before === 0 ? await writeRecoveryCodes(transaction, owner.id) : undefined
        return { factor: toFactor(row), recoveryCodes }
      })
    },

    async passkeys(sub) {
      const found = await rows(sub).where('type', '=', 'passkey').orderBy('created_at').execute()
      return found.map(toPasskey)
    },

    async findPasskey(credentialId) {
      const row = await db
        .selectFrom('factors')
        .selectAll()
        .where('credential_id', '=', credentialId)
        .executeTakeFirst()
      return row && toPasskey(row)
    },

    async addPasskey(owner, { credentialId, publicKey, counter, transports, isSynced }, name) {
      return changeFactors(db, owner, async (transaction, before) => {
        const row = await transaction
          .insertInto('factors')
          .values({
            ...EMPTY,
            id: newFactorId(),
            sub: owner.id,
            type: 'passkey',
            name,
            secret: publicKey,
            credential_id: credentialId,
            counter,
            details: JSON.stringify({ transports, isSynced }),
            created_at: databaseNow,
            confirmed_at: databaseNow,
          })
          .onConflict((conflict) => conflict.column('credential_id').doNothing())
          .returningAll()
          .executeTakeFirst()
        if (!row) return undefined
        const recoveryCodes = before === 0 ? await writeRecoveryCodes(transaction, owner.id) : undefined
        return { factor: toFactor(row), recoveryCodes }
      })
    },

    async remove(owner, id) {
      return changeFactors(db, owner, async (transaction, before) => {
        const { numDeletedRows } = await transaction
          .deleteFrom('factors')
          .where('id', '=', id)
          .where('sub', '=', owner.id)
          .where('confirmed_at', 'is not', null)
          .executeTakeFirst()
        if (numDeletedRows === 0n) return undefined
        if (before === 1) await transaction.deleteFrom('recovery_codes').where('sub', '=', owner.id).execute()
        return {}
      })
    },

    async renewRecoveryCodes(owner) {
      return changeFactors(db, owner, async (transaction, before) =>
        before === 0 ? undefined : { recoveryCodes: await writeRecoveryCodes(transaction, owner.id) },
      )
    },

    async reset(sub) {
      const { outcome } = await changeFactors(db, { id: sub }, async (transaction) => {
        await transaction.deleteFrom('factors').where('sub', '=', sub).execute()
        await transaction.deleteFrom('recovery_codes').where('sub', '=', sub).execute()
        return {}
      })
      return outcome === 'changed'
    },

    async useTotp(sub, code, ticket) {
      const row = await rows(sub).where('type', '=', 'totp').where('confirmed_at', 'is not', null).executeTakeFirst()
      if (!row) return 'wrong'
      const { findTotpStep } = await loadTotp()
      const step = findTotpStep(requireSealing().open(row.secret, totpContext(row)), code, now())
      if (step === undefined) return 'wrong'
      return useWithTicket(db, tickets, ticket, async (transaction) => {
        const { numUpdatedRows } = await transaction
          .updateTable('factors')
          .set({ counter: step, last_used_at: databaseNow })
          .where('id', '=', row.id)
          .where('counter', '<', step)
          .executeTakeFirst()
        return numUpdatedRows > 0n
      })
    },

    async useRecoveryCode(sub, code, ticket) {
      return useWithTicket(db, tickets, ticket, async (transaction) => {
        const { numDeletedRows } = await transaction
          .deleteFrom('recovery_codes')
          .where('sub', '=', sub)
          .where('hash', '=', recoveryCodeHash(sub, code))
          .executeTakeFirst()
        return numDeletedRows > 0n
      })
    },

    async usePasskey(id, counter) {
      const { numUpdatedRows } = await db
        .updateTable('factors')
        .set({ counter, last_used_at: databaseNow })
        .where('id', '=', id)
        // An authenticator without a counter always sends 0 (WebAuthn §6.1.1).
        .where(counter === 0 ? sql<SqlBool>`counter = 0` : sql<SqlBool>`counter < ${counter}`)
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

    async reseal(after) {
      const page = await db
        .selectFrom('factors')
        .selectAll()
        .where('type', '=', 'totp')
        .where('id', '>', after)
        .orderBy('id')
        .limit(PAGE)
        .execute()
      let resealed = 0
      for (const row of page) {
        if (requireSealing().isCurrent(row.secret)) continue
        const secret = requireSealing().seal(requireSealing().open(row.secret, totpContext(row)), totpContext(row))
        const { numUpdatedRows } = await db
          .updateTable('factors')
          .set({ secret })
          .where('id', '=', row.id)
          .where('secret', '=', row.secret)
          .executeTakeFirst()
        resealed += Number(numUpdatedRows)
      }
      return { last: page.at(-1)?.id, resealed }
    },
  }
}

/** The columns that a new row leaves empty. */
const EMPTY = { name: null, credential_id: null, counter: 0, details: null, confirmed_at: null, last_used_at: null }

const newFactorId = (): string => randomBytes(16).toString('base64url')

function toFactor({ id, type, name, created_at: createdAt, last_used_at: lastUsedAt }: FactorRow): Factor {
  return { id, type, name, createdAt, lastUsedAt: lastUsedAt ?? undefined }
}

function toPasskey({ id, sub, credential_id: credentialId, secret, counter, details }: FactorRow): OwnedPasskey {
  const { transports, isSynced } = JSON.parse(details ?? '{}')
  return { id, sub, credentialId: credentialId ?? '', publicKey: secret, counter, transports, isSynced }
}
