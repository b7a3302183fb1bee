import type { FeedEntry, Revocation } from '../sessions/feed.js'
import { keyOf } from './cursor.js'

/** Revocations of one answer at most. */
export const MAX_REVOCATIONS = 1000
/** An answer ends after this number of characters, with at least one revocation: an entry may name 500 sessions. */
const MAX_LENGTH = 256 * 1024

/** Entries as one answer gives them. */
export interface Page {
  /** The key of the last entry of the page. */
  lastKey: string
  hasMore: boolean
  /** The members of a JSON array. Empty if the entries revoke nothing. */
  revocations: string
}

/**
 * Makes a page of the entries from an index on.
 *
 * @param lastKey the key of the entry before
 */
export function createPage(entries: readonly FeedEntry[], from: number, lastKey: string): Page {
  const revocations: string[] = []
  let length = 0
  let i = from
  for (; i < entries.length && revocations.length < MAX_REVOCATIONS && length < MAX_LENGTH; i += 1) {
    const { revocation } = entries[i] as FeedEntry
    if (!revocation) continue
    const text = encode(revocation)
    revocations.push(text)
    length += text.length
  }
  const last = i > from ? keyOf(entries[i - 1] as FeedEntry) : lastKey
  return { lastKey: last, hasMore: i < entries.length, revocations: revocations.join(',') }
}

function encode(revocation: Revocation): string {
  if ('sids' in revocation) return JSON.stringify({ sids: revocation.sids })
  return JSON.stringify({ client_id: revocation.clientId, issued_until: revocation.issuedUntil })
}
