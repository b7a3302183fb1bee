import { createHmac } from 'node:crypto'
import { REFRESH_SECRET } from './service.js'

/**
 * The claims with the `jti` that the service would compute. Without it a forged token would be refused because of its
 * `jti`, and not because of the tested defect. Text that is not an object with a `jti` stays unchanged.
 */
export function withGenuineJti(text: string, secret = REFRESH_SECRET): string {
  let claims: { jti?: unknown } | null
  try {
    claims = JSON.parse(text)
  } catch {
    return text
  }
  const jti = claims?.jti
  if (typeof jti !== 'string') return text
  const nonce = jti.slice(0, 8)
  const mac = createHmac('sha256', secret).update(`latchkey access token\0${JSON.stringify({ ...claims, jti: nonce })}`)
  const own = nonce + mac.digest().subarray(0, 10).toString('base64url')
  return text.replace(`"jti":"${jti}"`, `"jti":"${own}"`)
}

/** The same for an object of claims. */
export function claimsWithGenuineJti<Claims extends object>(claims: Claims, secret?: string): Claims {
  return JSON.parse(withGenuineJti(JSON.stringify(claims), secret))
}
