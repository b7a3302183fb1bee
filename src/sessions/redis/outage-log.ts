import type { Logger } from 'pino'

/** Milliseconds. */
const REPEAT_INTERVAL = 60_000

/**
 * Logs an outage of Redis when it begins, each minute, and when it ends. ioredis reports each attempt to reconnect: several
 * lines a second, in the words of the socket.
 *
 * @param isClosed whether the service has closed the connection
 */
export function createOutageLog(logger: Logger, isClosed: () => boolean, interval = REPEAT_INTERVAL) {
  let beganAt: number | undefined
  let reason = ''
  let repeat: NodeJS.Timeout | undefined

  function end(): void {
    clearInterval(repeat)
    beganAt = undefined
  }
  return {
    onError(error: Error): void {
      reason = error.message
      if (beganAt !== undefined || isClosed()) return
      const began = Date.now()
      beganAt = began
      logger.warn({ reason }, 'the connection to Redis failed: requests that need Redis get 503 until Redis answers')
      repeat = setInterval(() => {
        if (isClosed()) return end()
        logger.warn({ reason, seconds: secondsSince(began) }, 'Redis still does not answer')
      }, interval).unref()
    },
    onReady(): void {
      if (beganAt === undefined) return
      logger.info({ seconds: secondsSince(beganAt) }, 'Redis answers again')
      end()
    },
  }
}

const secondsSince = (milliseconds: number): number => Math.round((Date.now() - milliseconds) / 1000)
