import type { SessionStore } from './session.js'

/** What requests wait for. */
export const operations = [
  'create',
  'rotate',
  'findUsername',
  'list',
  'revoke',
  'confirmRevoked',
  'revokeAll',
  'revokeClient',
  'clientNotBefore',
] as const satisfies readonly (keyof SessionStore)[]
export type Operation = (typeof operations)[number]

/** Does an operation, and something about it. */
export type WrapOperation = <Answer>(act: () => Promise<Answer>) => Promise<Answer>

/** The same store, with something done around each of its operations: it is timed, or traced. */
export function wrapOperations(sessions: SessionStore, around: (operation: Operation) => WrapOperation): SessionStore {
  const changed: Partial<Record<Operation, unknown>> = {}
  for (const operation of operations) {
    const call = sessions[operation] as (...args: unknown[]) => Promise<unknown>
    const wrap = around(operation)
    changed[operation] = (...args: unknown[]) => wrap(() => call(...args))
  }
  return { ...sessions, ...changed } as SessionStore
}
