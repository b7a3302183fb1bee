import { createHash } from 'node:crypto'
import type { RateLimiterAbstract, RateLimiterRes } from 'rate-limiter-flexible'

/** A code that is being compared. It counts as wrong until {@link CodeThrottle.finishCode}. */
export interface StartedCode {
  key: string
  /** This attempt began a wait for the attempts after it. */
  beganWait: boolean
}

/** After the password, or with an access token. */
export type CodeUse = 'sign-in' | 'step-up'

/**
 * Limits how often callers may try the second factor of an account, over all addresses: a code has six digits.
 */
export interface CodeThrottle {
  /**
   * Begins an attempt, or returns the seconds to wait. Call {@link finishCode} once, in `finally`.
   *
   * @param at attempts at one of them do not make the other wait. Every service that receives a person's token may send wrong
   *   codes to step up, and must not keep the person from signing in
   */
  beginCode(sub: string, at: CodeUse): Promise<StartedCode | { wait: number }>
  finishCode(code: StartedCode, result: 'success' | 'failure' | 'not_compared'): Promise<void>
}

interface CodeLimits {
  free: number
  /** Seconds. */
  firstWait: number
  longestWait: number
}

/**
 * An attempt counts before its code is compared. So of a thousand codes that arrive at once, on any replica, five are compared.
 */
export function createCodeThrottle(
  counter: (name: string, points: number, duration: number) => RateLimiterAbstract,
  readSecondsLeft: (counter: RateLimiterAbstract, key: string) => Promise<number>,
  { free, firstWait, longestWait, forgottenAfter }: CodeLimits & { forgottenAfter: number },
): CodeThrottle {
  const attempts = counter('c', free, forgottenAfter)
  const waits = counter('d', 1, longestWait)

  return {
    async beginCode(sub, at) {
      const key = createHash('sha256').update(`code\0${at}\0${sub}`).digest('base64url').slice(0, 22)
      const left = await readSecondsLeft(waits, key)
      if (left > 0) return { wait: left }
      const { consumedPoints } = await attempts.penalty(key)
      if (consumedPoints < free) return { key, beganWait: false }
      // This attempt is the last before a wait. Only one of several at the same moment begins the wait, and may go on.
      const wait = Math.min(firstWait * 2 ** (consumedPoints - free), longestWait)
      try {
        await waits.consume(key, 1, { customDuration: wait })
        return { key, beganWait: true }
      } catch (rejection) {
        await attempts.reward(key)
        if (rejection instanceof Error) throw rejection
        return { wait: Math.max(1, Math.ceil((rejection as RateLimiterRes).msBeforeNext / 1000)) }
      }
    },

    async finishCode({ key, beganWait }, result) {
      if (result === 'failure') return
      if (result === 'success') await attempts.delete(key)
      else await attempts.reward(key)
      if (beganWait) await waits.delete(key)
    },
  }
}
