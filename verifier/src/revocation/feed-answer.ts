import { isId } from '../token/claims.js'

/** A checked answer of `GET /revocations`. */
export interface FeedAnswer {
  /** The name of this history of revocations. */
  feed: string
  /** Unix seconds. */
  epoch: number
  cursor: string
  more: boolean
  /** Milliseconds from the arrival of the request to the read of the store. */
  readAfter: number
  revocations: KnownRevocation[]
  /** The number of entries that have another form. */
  unknown: number
  hasNews: boolean
}

type KnownRevocation =
  | { sids: string[] }
  | {
      clientId: string
      /** Unix seconds. */
      issuedUntil: number
    }

/** Entries of one answer. The contract allows 1,000. */
const MAX_ENTRIES = 1000
const MAX_NAME_LENGTH = 256
/** Ids have 64 characters at most. */
const MAX_ID_LENGTH = 256

/** @throws Error if the body is not an answer of `GET /revocations` */
export function parseFeedAnswer(body: unknown): FeedAnswer {
  const { feed, epoch, cursor, more, read_after_ms, revocations } = (body ?? {}) as Record<string, unknown>
  if (
    !isName(feed) ||
    !isName(cursor) ||
    typeof more !== 'boolean' ||
    !isUnixTime(epoch) ||
    !(typeof read_after_ms === 'number' && read_after_ms >= 0) ||
    !(Array.isArray(revocations) && revocations.length <= MAX_ENTRIES)
  ) {
    throw new Error('the answer is not a feed of revocations: check the endpoint')
  }
  const known = revocations.flatMap((entry) => parseEntry(entry) ?? [])
  return {
    feed,
    epoch,
    cursor,
    more,
    readAfter: read_after_ms,
    revocations: known,
    unknown: revocations.length - known.length,
    hasNews: revocations.length > 0,
  }
}

/** Undefined if the entry has another form. */
function parseEntry(entry: unknown): KnownRevocation | undefined {
  const { sids, client_id, issued_until } = (entry ?? {}) as Record<string, unknown>
  if (Array.isArray(sids)) return client_id === undefined && sids.every(isShortId) ? { sids } : undefined
  if (isShortId(client_id) && isUnixTime(issued_until)) return { clientId: client_id, issuedUntil: issued_until }
  return undefined
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_NAME_LENGTH
}

function isShortId(value: unknown): value is string {
  return isId(value) && value.length <= MAX_ID_LENGTH
}

function isUnixTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
