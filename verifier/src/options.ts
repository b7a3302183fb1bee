/** @throws TypeError if an option is unknown. A misspelt option would be ignored, and its default would silently apply */
export function requireMembers(options: object, name: string, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw new TypeError(`${name} must be an object`)
  const unknown = Object.keys(options).find((member) => !known.includes(member))
  if (unknown !== undefined) throw new TypeError(`${name}: the option ${unknown} is unknown: use ${known.join(', ')}`)
}

/** @throws TypeError if a value is not a string, or is empty */
export function requireTexts(values: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(values)) {
    if (!isText(value)) throw new TypeError(`${name} must be a string, and not empty`)
  }
}

/** Returns the audiences as a list. @throws TypeError if there is none */
export function requireAudiences(audience: string | readonly string[]): string[] {
  const audiences = [audience].flat()
  if (audiences.length === 0 || !audiences.every(isText)) {
    throw new TypeError('audience must be a string or a list of strings, and not empty')
  }
  return audiences
}

/** Returns the milliseconds. @throws TypeError if the value is not a positive number */
export function requireMaxStaleness(value: unknown, name: string): number {
  if (!(typeof value === 'number' && value > 0 && value < Number.POSITIVE_INFINITY)) {
    throw new TypeError(`${name} must be a number of milliseconds: more than 0`)
  }
  return value
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}
