import type { Test } from 'tap'

/**
 * Expects exactly these events, in this order, and each list in an event complete. `t.match` alone compares only as many
 * members of a list as its pattern has.
 */
export function expectEvents(t: Test, lines: Record<string, unknown>[], expected: object[]): void {
  t.match(lines, expected)
  t.equal(lines.length, expected.length, 'no further event')
  for (const [i, event] of expected.entries()) {
    for (const [name, value] of Object.entries(event)) {
      if (Array.isArray(value)) t.strictSame(lines[i]?.[name], value, name)
    }
  }
}
