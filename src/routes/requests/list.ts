import { parseScope } from '../../scope.js'

/** The items of a list or of a space-separated text, without duplicates. Forms can only send a text. */
export function parseList(given: readonly string[] | string = []): string[] {
  return [...new Set(typeof given === 'string' ? parseScope(given) : given)]
}
