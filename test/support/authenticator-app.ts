import { Secret, TOTP } from 'otpauth'
import { eventually } from './eventually.js'

const PERIOD = 30_000

/** An authenticator app on a phone. It may show each code of the steps that a service accepts, and none twice. */
export class AuthenticatorApp {
  #last = 0

  constructor(readonly secret: string) {}

  /** A code of the present step, or of one that many steps away. */
  async code(drift = 0): Promise<string> {
    await this.#settle()
    return this.#codeOf(Math.floor(Date.now() / PERIOD) + drift)
  }

  /** The oldest code that is still accepted, and that this app has not shown. Of these are three in a moment. */
  async next(): Promise<string> {
    await this.#settle()
    this.#last = Math.max(this.#last + 1, Math.floor(Date.now() / PERIOD) - 1)
    return this.#codeOf(this.#last)
  }

  /** The code that this app has shown last. */
  last(): string {
    return this.#codeOf(this.#last)
  }

  /** A step does not end between a code and its use. */
  async #settle(): Promise<void> {
    await eventually(async () => PERIOD - (Date.now() % PERIOD) > 3000)
  }

  #codeOf(step: number): string {
    return new TOTP({ secret: Secret.fromBase32(this.secret) }).generate({ timestamp: step * PERIOD })
  }
}
