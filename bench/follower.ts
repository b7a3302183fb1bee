import { createVerifier, type TokenError } from '@latchkey/verifier'
import { ISSUER, JWT_SECRET } from './setting.js'

/**
 * A process that follows the feed and verifies tokens all the time. It verifies each token that is being revoked every
 * millisecond, and a few tokens that were revoked before. The bench names the tokens by IPC.
 */
export type ToFollower =
  | { watch: number; token: string }
  /** The time at which the revocation was acknowledged, in Unix milliseconds. */
  | { revoked: number; at: number }
  | { report: true }

export interface Report {
  /** Milliseconds from the acknowledgement of each revocation until its token was last accepted; at least 0. */
  delays: number[]
  /** Tokens that were accepted later than `maxStaleness` after the acknowledgement. */
  violations: number
  verifications: number
  refusals: Record<string, number>
}

interface Watched {
  token: string
  acceptedAt: number
  revokedAt: number
}

const MAX_STALENESS = 1000
const OLD_ONES = 10

const verifier = createVerifier({
  issuer: ISSUER,
  audience: ISSUER,
  keys: { secrets: [JWT_SECRET] },
  revocation: { mode: 'follow', redis: process.env.REDIS_URL as string, maxStaleness: MAX_STALENESS },
})
const watched = new Map<number, Watched>()
const pending = new Set<number>()
const refusals: Record<string, number> = {}
let violations = 0
let verifications = 0
const now = () => performance.timeOrigin + performance.now()

async function look(id: number): Promise<void> {
  const entry = watched.get(id) as Watched
  const asked = now()
  verifications += 1
  try {
    await verifier.verify(entry.token)
    entry.acceptedAt = asked
    if (asked > entry.revokedAt + MAX_STALENESS) violations += 1
  } catch (error) {
    const { code } = error as TokenError
    refusals[code] = (refusals[code] ?? 0) + 1
    if (code === 'revoked' && entry.revokedAt < asked) pending.delete(id)
  }
}

let next = 0
setInterval(() => {
  for (const id of pending) void look(id)
  for (let i = 0; i < OLD_ONES && watched.size > 0; i += 1) {
    next = (next + 1) % watched.size
    void look(next)
  }
}, 1)

process.on('message', (message: ToFollower) => {
  if ('watch' in message) {
    watched.set(message.watch, { token: message.token, acceptedAt: 0, revokedAt: Number.POSITIVE_INFINITY })
    pending.add(message.watch)
  } else if ('revoked' in message) {
    const entry = watched.get(message.revoked)
    if (entry) entry.revokedAt = message.at
  } else {
    const revoked = [...watched.values()].filter(({ revokedAt }) => revokedAt < Number.POSITIVE_INFINITY)
    const delays = revoked.map(({ acceptedAt, revokedAt }) => Math.max(0, acceptedAt - revokedAt))
    process.send?.({ delays, violations, verifications, refusals } satisfies Report)
  }
})
process.on('disconnect', () => process.exit())
await verifier.ready()
process.send?.('ready')
