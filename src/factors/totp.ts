import { Secret, TOTP } from 'otpauth'

/** Seconds of a time step (RFC 6238 §4.1). */
const PERIOD = 30
/** Steps before and after the present one whose code is accepted: clocks of phones differ (RFC 6238 §5.2). */
const DRIFT = 1

/** A new shared secret of 160 bits (RFC 4226 §4), in base32. */
export const newTotpSecret = (): string => new Secret({ size: 20 }).base32

/** The address that an authenticator app reads from a QR code. Every app knows SHA-1, 6 digits and 30 s. */
export function totpUri(secret: string, service: string, username: string): string {
  return new TOTP({ issuer: service, label: username, secret, period: PERIOD }).toString()
}

/**
 * The time step of a code, or undefined if the code is wrong. The present step counts, one before and one after.
 *
 * @param now Unix milliseconds
 */
export function findTotpStep(secret: string, code: string, now: number): number | undefined {
  // Apps show a code with a space in the middle.
  const digits = code.replaceAll(' ', '')
  if (!/^\d{6}$/.test(digits)) return undefined
  const delta = TOTP.validate({
    token: digits,
    secret: Secret.fromBase32(secret),
    period: PERIOD,
    timestamp: now,
    window: DRIFT,
  })
  return delta === null ? undefined : Math.floor(now / 1000 / PERIOD) + delta
}
