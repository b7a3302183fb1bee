import type { FeedEntry, FeedPage } from '../sessions/feed.js'
import type { SessionStore } from '../sessions/session.js'
import { keyOf } from './cursor.js'
import { createPage, MAX_REVOCATIONS, type Page } from './page.js'

/** Entries that stay in memory. At 1,000 revocations a second, a follower may be 4 s behind. */
const TAIL_SIZE = 4096
/** Session ids that stay in memory. In Redis one entry may name 500 sessions. */
const MAX_IDS = 50_000

/** The newest entries of the feed, in memory. They answer every follower that is not far behind. */
interface Tail {
  /** Reads what the store has written since the last call. */
  readOn(): Promise<void>
  readonly name: string
  readonly epoch: number
  /** Whether the entry with this id is older than every entry in memory. */
  isTooOld(id: string): boolean
  /** What follows the entry with this key. Undefined if the entry is not in memory. */
  after(key: string): Page | undefined
}

export function createTail(sessions: Pick<SessionStore, 'readFeed'>): Tail {
  let [name, epoch] = ['', 0]
  let entries: FeedEntry[] = []
  let indexes = new Map<string, number>()
  /** The pages since the last read, by the index of their first entry. Most followers are at the same place. */
  let pages = new Map<number, Page>()

  function replace(page: FeedPage, kept: readonly FeedEntry[]): void {
    name = page.name
    entries = [...kept]
    indexes = new Map(entries.map((entry, i) => [keyOf(entry), i]))
  }

  async function readOn(): Promise<void> {
    const last = entries.at(-1)
    // One entry more than a page: the first is the one that we have.
    const page = await sessions.readFeed(last ? { id: last.id } : 'newest', MAX_REVOCATIONS + 1)
    pages = new Map()
    epoch = page.epoch
    if (!last) return replace(page, page.entries)
    const [first, ...news] = page.entries
    const isWhole = first !== undefined && keyOf(first) === keyOf(last) && page.name === name
    if (!isWhole || page.hasMore) {
      // The store has lost this entry, or nobody has asked for a long time. Followers who are behind read the store.
      replace(page, [])
      return readOn()
    }
    for (const entry of news) indexes.set(keyOf(entry), entries.push(entry) - 1)
    if (entries.length > 2 * TAIL_SIZE) replace(page, entries.slice(-TAIL_SIZE))
    else if (news.length > 0 && countIds(entries) > MAX_IDS) replace(page, entries.slice(-1))
  }

  return {
    readOn,
    get name() {
      return name
    },
    get epoch() {
      return epoch
    },
    isTooOld: (id) => entries[0] !== undefined && Number.parseInt(id, 10) < Number.parseInt(entries[0].id, 10),
    after(key) {
      const index = indexes.get(key)
      if (index === undefined) return undefined
      let page = pages.get(index)
      if (!page) {
        page = createPage(entries, index + 1, key)
        pages.set(index, page)
      }
      return page
    },
  }
}

const countIds = (entries: readonly FeedEntry[]) =>
  entries.reduce((sum, { revocation }) => sum + (revocation && 'sids' in revocation ? revocation.sids.length : 1), 0)
