import type { Moment } from '../clock.js'

/** A source of revocations that a follower reads without pause. */
export interface Feed {
  /** Why the source proves nothing now, for the error of `ready`. */
  whyNotFresh(): string
  /** When an answer said last that more entries wait. Undefined if none has. */
  readonly backlogAt: Moment | undefined
  /** The number of entries that could not be read in full. */
  readonly malformedEntries: number
  /** Stops reading. After that, the source changes nothing. */
  close(): Promise<void>
}
