/**
 * The token of an `Authorization` header (RFC 6750 §2.1), or undefined. The scheme's name may have any case (RFC 9110 §11.1).
 * One space and one token follow it. Two spaces, two tokens and a list are not valid.
 */
export const bearerToken = (authorization: string): string | undefined =>
  /^bearer ([\w.~+/-]+=*)$/i.exec(authorization)?.[1]

/**
 * {@link bearerToken} of a request behind which another application reads the headers too. Node keeps the first of two
 * `Authorization` headers. Caddy and HAProxy pass both on, and the application may read the second. It would then use a token that
 * nobody checked. So there is no token in a request with two headers.
 *
 * @param rawHeaders names and values in turn, as Node received them
 */
export function soleBearerToken(authorization: string, rawHeaders: readonly string[]): string | undefined {
  const token = bearerToken(authorization)
  return token !== undefined && countAuthorizations(rawHeaders) === 1 ? token : undefined
}

function countAuthorizations(rawHeaders: readonly string[]): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    // The cheap comparison of lengths comes first, because this runs for every header of every request.
    if (name.length === 13 && name.toLowerCase() === 'authorization') count += 1
  }
  return count
}
