import { createHmac } from 'node:crypto'
import { JWT_SECRET } from '../service.js'
import { claimsWithGenuineJti } from '../stamped.js'

type Claims = Record<string, unknown>

/** A token that the service could have signed: a live token with other claims. */
export function withClaims(token: string, changes: Claims, secret = JWT_SECRET): string {
  const [header = '', claims = ''] = token.split('.')
  const changed = encode(claimsWithGenuineJti({ ...decode(claims), ...changes }))
  return `${header}.${changed}.${createHmac('sha256', secret).update(`${header}.${changed}`).digest('base64url')}`
}

export function unixSeconds(): number {
  return Math.floor(Date.now() / 1000)
}

function decode(part: string): Claims {
  return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
}

function encode(claims: Claims): string {
  return Buffer.from(JSON.stringify(claims)).toString('base64url')
}
