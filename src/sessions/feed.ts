/** Sessions that ended, or a time of issue up to which the tokens that a client got for itself have ended. */
export type Revocation =
  | { sids: string[] }
  | {
      clientId: string
      /** Unix seconds. */
      issuedUntil: number
    }

/** An entry of the feed of revocations. */
export interface FeedEntry {
  /** `MILLISECONDS-NUMBER`: the time of writing on the clock of the store, and a number. Ids ascend. */
  id: string
  /** A part of the content. After a failover or a restore, another entry may have the same id. At most 8 of `[\w-]`. */
  mark: string
  /** Undefined if the entry revokes nothing: a heartbeat, or the first entry of a feed. */
  revocation: Revocation | undefined
}

/** Successive entries of the feed, which the store read in one atomic step. */
export interface FeedPage {
  /** Names the history of the store. A store that lost its data, or that came into use again, has a new name. */
  name: string
  /** Unix seconds on the clock of the store. The feed may lack revocations of tokens that were issued before. */
  epoch: number
  entries: FeedEntry[]
  /** Whether the feed has entries after these. */
  hasMore: boolean
}

/** Where to begin: at the entry with this id, at the oldest entry, or at the newest. */
export type FeedStart = { id: string } | 'oldest' | 'newest'

/** The mark of an entry, made of a value in it that is unique or nearly so. */
export const markOf = (value: string): string => value.replace(/[^\w-]/g, '').slice(0, 8)
