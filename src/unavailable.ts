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

/** Calls Redis. An error of Redis is never about the request: Redis is down, stalled, full, loading, or has become a replica. */
export async function withRedisErrors<Answer>(call: () => Promise<Answer>): Promise<Answer> {
  try {
    return await call()
  } catch (error) {
    throw new Unavailable('redis', `Redis failed: ${(error as Error).message}`, error)
  }
}
