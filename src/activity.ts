import type { AuditLine } from './audit.js'

/** What happened in one minute. */
interface Minute {
  /** The begin, in Unix milliseconds. */
  time: number
  signIns: number
  refreshes: number
  refusals: number
  revocations: number
}

export interface Activity {
  record(event: AuditLine): void
  /** The last 60 minutes, the oldest first. A minute without events has zeros. */
  minutes(): Minute[]
  /** The kept events of the last hour, the newest first. */
  events(): { time: number; event: AuditLine }[]
}

const MINUTE = 60_000
const MINUTES = 60
/** Events of one kind. Six kinds with 400 bytes each are 1.2 MB when all rings are full. */
const KEPT = 500
const COUNTS = ['signIns', 'refreshes', 'refusals', 'revocations'] as const

/**
 * The last hour of this instance, in rings with a fixed size. Each kind of event has a ring of its own. So a flood of wrong
 * passwords, sign-outs or new accounts drops no line that says what an administrator did.
 *
 * @param now Unix milliseconds
 */
export function createActivity(now: () => number = Date.now): Activity {
  const rings: Record<Kind, Ring> = {
    sign_in: ring(),
    refresh: ring(),
    refused: ring(),
    ended: ring(),
    change: ring(),
    administration: ring(),
  }
  const counts = new Uint32Array(MINUTES * COUNTS.length)
  let newest = Math.floor(now() / MINUTE)

  /**
   * Empties the minutes between the last event and now, in either direction. If the clock was set back, the minutes after it
   * have not happened. Returns the place of the present minute.
   */
  function advance(minute: number): number {
    const last = Math.max(newest, minute)
    for (let each = Math.max(Math.min(newest, minute) + 1, last - MINUTES + 1); each <= last; each += 1) {
      const place = (each % MINUTES) * COUNTS.length
      counts.fill(0, place, place + COUNTS.length)
    }
    newest = minute
    return (minute % MINUTES) * COUNTS.length
  }

  return {
    record(event) {
      const time = now()
      const place = advance(Math.floor(time / MINUTE))
      const kind = kindOf(event)
      add(rings[kind], time, event)
      if (event.event === 'login.accepted') count(place, 0, 1)
      else if (kind === 'refresh') count(place, 1, 1)
      else if (kind === 'refused') count(place, 2, 1)
      else if (event.event === 'session.ended') count(place, 3, event.sids.length)
      else if (event.event === 'client.tokens_revoked') count(place, 3, 1)
    },

    minutes() {
      const minute = Math.floor(now() / MINUTE)
      advance(minute)
      return Array.from({ length: MINUTES }, (_, index) => {
        const each = minute - MINUTES + 1 + index
        const place = (each % MINUTES) * COUNTS.length
        const [signIns = 0, refreshes = 0, refusals = 0, revocations = 0] = counts.slice(place, place + COUNTS.length)
        return { time: each * MINUTE, signIns, refreshes, refusals, revocations }
      })
    },

    events() {
      const oldest = now() - MINUTES * MINUTE
      return Object.values(rings)
        .flatMap(({ entries }) => entries.filter(({ time }) => time >= oldest))
        .sort((one, other) => other.time - one.time)
    },
  }

  function count(place: number, which: number, by: number): void {
    counts[place + which] = (counts[place + which] as number) + by
  }
}

type Kind = 'sign_in' | 'refresh' | 'refused' | 'ended' | 'change' | 'administration'

function kindOf({ event, ...members }: AuditLine): Kind {
  if (event === 'refresh.rotated' || event === 'refresh.replayed') return 'refresh'
  if (event.endsWith('refused') || event === 'refresh.reused') return 'refused'
  if (event.startsWith('login.') || event === 'factor.used' || event.startsWith('token.')) return 'sign_in'
  // Anybody can ask a mailer for many recovery tokens, so they are not acts of an administrator.
  if ('by' in members && members.by !== undefined && event !== 'recovery.requested') return 'administration'
  return event === 'session.ended' ? 'ended' : 'change'
}

interface Ring {
  entries: { time: number; event: AuditLine }[]
  next: number
}

const ring = (): Ring => ({ entries: [], next: 0 })

function add(to: Ring, time: number, event: AuditLine): void {
  to.entries[to.next] = { time, event }
  to.next = (to.next + 1) % KEPT
}
