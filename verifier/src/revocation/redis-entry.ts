import { isId } from '../token/claims.js'
import { parseWholeNumber } from './redis-keys.js'
import { MAX_RETENTION, type RevocationList } from './revocation-list.js'

/** An entry of the feed in Redis: `MILLISECONDS-SEQUENCE` on Redis's clock, and fields and values in turn. */
export type FeedEntry = readonly [id: string, fields: readonly string[]]

/** Milliseconds. A token lives for 1 s or more, so no service keeps an entry for less. */
const MIN_RETENTION = 1000
const ENTRY_ID = /^\d{1,15}-\d{1,20}$/

/** The time of an entry, in Unix milliseconds on Redis's clock. */
export function entryTime([id]: FeedEntry): number {
  return Number(id.slice(0, id.indexOf('-')))
}

interface EntryParser {
  add(entries: readonly FeedEntry[]): void
  /** The time for which the writers keep an entry, in milliseconds. It is longer than the life of a token. */
  readonly retention: number
  /** The number of entries that could not be read in full. */
  readonly malformed: number
}

/** Parses entries of the feed in Redis, and adds their revocations to the list. */
export function createEntryParser(list: RevocationList): EntryParser {
  /** The longest possible, until a heartbeat names one. */
  let retention = MAX_RETENTION
  let malformed = 0

  /**
   * Adds an entry to the list, field by field. A malformed field is ignored, and then the result is false. Each number is checked
   * first: other text would become NaN, no comparison with NaN is true, and a revoked token would stay valid.
   */
  function addEntry(entry: FeedEntry): boolean {
    const [id, fields] = entry
    if (!ENTRY_ID.test(id)) return false
    const at = Math.ceil(entryTime(entry) / 1000)
    let isWhole = fields.length > 0 && fields.length % 2 === 0
    /** The client that the next `nbf` belongs to. */
    let client: string | undefined
    for (let i = 0; i + 1 < fields.length; i += 2) {
      const value = fields[i + 1] as string
      switch (fields[i]) {
        case 'sid':
          if (isId(value)) list.addSession(value, at)
          else isWhole = false
          break
        case 'sub':
          if (client !== undefined || !isId(value)) isWhole = false
          client = isId(value) ? value : undefined
          break
        case 'nbf': {
          const issuedUntil = parseWholeNumber(value)
          if (client !== undefined && issuedUntil !== undefined) list.addClient(client, issuedUntil, at)
          else isWhole = false
          client = undefined
          break
        }
        case 'hb': {
          const milliseconds = parseWholeNumber(value) ?? 0
          if (milliseconds >= MIN_RETENTION && milliseconds <= MAX_RETENTION) retention = milliseconds
          // A service of an earlier version writes 1.
          else if (value !== '1') isWhole = false
          break
        }
        case 'n':
          break
        default:
          isWhole = false
      }
    }
    return isWhole && client === undefined
  }

  return {
    add(entries) {
      for (const entry of entries) if (!addEntry(entry)) malformed += 1
    },

    get retention() {
      return retention
    },

    get malformed() {
      return malformed
    },
  }
}
