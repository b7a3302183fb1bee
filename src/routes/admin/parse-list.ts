/** A list of words, or the words of a text: forms have no lists. Each once. */
export function parseList(given: readonly string[] | string = []): string[] {
  return [...new Set(typeof given === 'string' ? given.split(' ').filter(Boolean) : given)]
}
