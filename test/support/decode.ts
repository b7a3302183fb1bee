/** The header of a token, without a check. */
// biome-ignore lint/suspicious/noExplicitAny: tests read headers of every shape
export function decodeHeader(token: string): any {
  return decode(token, 0)
}

/** The claims of a token, without a check. */
// biome-ignore lint/suspicious/noExplicitAny: tests read claims of every shape
export function claimsOf(token: string): any {
  return decode(token, 1)
}

function decode(token: string, part: number): unknown {
  return JSON.parse(Buffer.from(token.split('.')[part] as string, 'base64url').toString())
}
