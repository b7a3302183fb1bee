import type { SessionStore } from './session.js'

/** The operations of a store that requests wait for. */
const operations = [
  'create',
  'rotate',
  'reauthenticate',
  'findUsername',
  'list',
  'revoke',
  'confirmRevoked',
  'revokeAll',
  'renameUser',
  'revokeClient',
  'clientNotBefore',
  'useOnce',
  'readFeed',
] as const satisfies readonly (keyof SessionStore)[]
type Operation = (typeof operations)[number]

/** Runs one operation, and for example measures it. */
type WrapOperation = <Answer>(run: () => Promise<Answer>) => Promise<Answer>

/** Returns the same store with a wrapper, for example a timer, around each operation. */
export function wrapOperations(
  sessions: SessionStore,
  wrapperFor: (operation: Operation) => WrapOperation,
): SessionStore {
  const wrapped: Partial<Record<Operation, unknown>> = {}
  for (const operation of operations) {
    const call = sessions[operation] as (...args: unknown[]) => Promise<unknown>
    const wrap = wrapperFor(operation)
    wrapped[operation] = (...args: unknown[]) => wrap(() => call(...args))
  }
  return { ...sessions, ...wrapped } as SessionStore
}
