/** The items of a comma-separated list, without the white space around them. */
export function list(text: string): [string, ...string[]] {
  const items = text.split(',').map((item) => item.trim())
  if (items.includes('')) throw new Error('an item of the list is empty: look for a doubled or trailing comma')
  return items as [string, ...string[]]
}
