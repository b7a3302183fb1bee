import { isUtf8 } from 'node:buffer'

/** The three parts of a compact JWS (RFC 7515 §7.1), in base64url. */
export interface CompactJws {
  header: string
  claims: string
  signature: string
}

const COMPACT = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
/** `JSON.stringify` escapes control characters and lone surrogates. Of all other characters it only escapes these two. */
const ORDINARY_ESCAPE = /\\["\\]/g
/** Some libraries in PHP and Java escape every slash. JSON gives this escape one meaning only. */
const ESCAPE_OF_SLASH = /\\(["\\/])/g

/** Splits a compact JWS. Undefined if the text is not one. */
export function splitCompact(token: string): CompactJws | undefined {
  const parts = COMPACT.exec(token)
  if (!parts) return undefined
  const [, header, claims, signature] = parts as unknown as [string, string, string, string]
  return { header, claims, signature }
}

/** Whether the text is the only base64url spelling of its bytes (RFC 4648 §3.5). A decoder would drop spare bits. */
export function isCanonicalBase64url(text: string): boolean {
  const spare = text.length % 4
  if (spare === 1) return false
  const last = BASE64URL.indexOf(text.charAt(text.length - 1))
  return spare === 0 || (spare === 2 ? (last & 15) === 0 : (last & 3) === 0)
}

/**
 * Parses a JSON object that has exactly the form in which an issuer writes it: the same bytes as `JSON.stringify` writes.
 *
 * Two parsers may read a duplicate member, white space, a byte order mark, invalid UTF-8, `1e400` or spare bits differently.
 * None of these survives the round trip. A control character or a lone surrogate would survive it as an escape, and could
 * split a line of a log, so it is refused too.
 *
 * @param slashes `any` also accepts the escape of a slash, for tokens of other signers
 */
export function parseCanonical(
  encoded: string,
  slashes: 'plain' | 'any' = 'plain',
): Record<string, unknown> | undefined {
  if (!isCanonicalBase64url(encoded)) return undefined
  const bytes = Buffer.from(encoded, 'base64url')
  if (!isUtf8(bytes)) return undefined
  const text = bytes.toString('utf8')
  const json =
    slashes === 'any'
      ? text.replace(ESCAPE_OF_SLASH, (pair, character) => (character === '/' ? character : pair))
      : text
  if (json.includes('\\') && json.replace(ORDINARY_ESCAPE, '').includes('\\')) return undefined
  try {
    const value: unknown = JSON.parse(json)
    return isObject(value) && JSON.stringify(value) === json ? value : undefined
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
