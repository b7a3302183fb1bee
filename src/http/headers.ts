/** Counts a header in Node's raw headers. `request.headers` keeps only the first. @param name in lower case */
export function countHeader(rawHeaders: readonly string[], name: string): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const sent = rawHeaders[i] as string
    // The cheap comparison of lengths comes first, because this runs for every header of every request.
    if (sent.length === name.length && sent.toLowerCase() === name) count += 1
  }
  return count
}
