export type Dependency = 'redis' | 'database' | 'hashing'

/**
 * A part that a request needs is away or saturated: nothing is wrong with the request, and it may be sent again.
 * What the part said is in `cause`, for the log alone.
 */
export class Unavailable extends Error {
  override readonly name = 'Unavailable'
  constructor(
    readonly dependency: Dependency,
    message: string,
    cause?: unknown,
  ) {
    super(message, { cause })
  }
}
