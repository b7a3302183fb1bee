type Dependency = 'redis' | 'database' | 'hashing' | 'data_secret'

/**
 * A dependency of a request does not answer, or its queue is full. The request is correct, and the caller may retry it.
 * `cause` is the error of the dependency.
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
