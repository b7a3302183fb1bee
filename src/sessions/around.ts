import type { SessionStore } from './session.js'

/** What requests wait for. */
export const operations = [
  'create',
  'rotate',
  'holder',
  'list',
  'end',
  'endAll',
  'revokeClient',
  'clientNotBefore',
] as const satisfies readonly (keyof SessionStore)[]
export type Operation = (typeof operations)[number]

/** Does an operation, and something about it. */
export type Around = <Answer>(act: () => Promise<Answer>) => Promise<Answer>

/** The same store, with something done around each of its operations: it is timed, or traced. */
export function aroundEach(sessions: SessionStore, around: (operation: Operation) => Around): SessionStore {
  const changed: Partial<Record<Operation, unknown>> = {}
  for (const operation of operations) {
    const call = sessions[operation] as (...args: unknown[]) => Promise<unknown>
    const wrap = around(operation)
    changed[operation] = (...args: unknown[]) => wrap(() => call(...args))
  }
  return { ...sessions, ...changed } as SessionStore
}
