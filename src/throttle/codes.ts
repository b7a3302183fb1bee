import { createHash } from 'node:crypto'
import type { CodeCounts, CountedCode } from './code-counts.js'

/** A code that is being compared. It counts as wrong until {@link CodeThrottle.finishCode}. */
export interface StartedCode extends CountedCode {
  key: string
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

/**
 * An attempt counts before its code is compared. So of a thousand codes that arrive at once, on any replica, five are compared.
 * The last attempt before a wait begins the wait.
 */
export function createCodeThrottle(counts: CodeCounts): CodeThrottle {
  return {
    async beginCode(sub, at) {
      const key = createHash('sha256').update(`code\0${at}\0${sub}`).digest('base64url').slice(0, 22)
      const begun = await counts.begin(key)
      return 'wait' in begun ? { wait: Math.ceil(begun.wait / 1000) } : { key, ...begun }
    },

    async finishCode({ key, ...code }, result) {
      if (result !== 'failure') await counts.finish(key, code, result)
    },
  }
}
