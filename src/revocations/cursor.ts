import type { FeedEntry } from '../sessions/feed.js'

/** Where a follower is in the feed. Followers get it as one text, and give it back. */
export interface Cursor {
  /** The id of the last entry that the follower has. */
  id: string
  /** Id and mark of the last entry. */
  key: string
  /**
   * Empty, or a random word with a dot before it: the follower lost its place, and began again. The word is a part of the
   * feed's name for this follower from then on. So each answer that begins again has another name than the answer before it.
   */
  restart: string
}

/** The schema of the route has checked the text with a similar pattern. */
const CURSOR = /^((\d{1,15}-\d{1,15})(?:-[\w-]{0,8})?)(\.[\w-]{8})?$/

export const keyOf = ({ id, mark }: FeedEntry): string => `${id}-${mark}`

/** A cursor without a mark names no entry, so its follower begins again. Undefined if the text cannot be a cursor. */
export function parseCursor(text: string): Cursor | undefined {
  const [, key, id, restart = ''] = CURSOR.exec(text) ?? []
  return key === undefined || id === undefined ? undefined : { id, key, restart }
}
