/** How often a header was sent, by its name in lower case: Node's own view keeps the first of many. */
export function countHeader(rawHeaders: readonly string[], name: string): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const sent = rawHeaders[i] as string
    // The length first: this runs for every header of every request.
    if (sent.length === name.length && sent.toLowerCase() === name) count += 1
  }
  return count
}
