import type { SessionStoreRow } from '../database/schema.js'

/** A session store that the database can register. */
export interface RegistrableStore {
  readonly kind: SessionStoreRow['kind']
  /** For messages and logs: without credentials. */
  readonly address: string
  /** Waits for the first connection, or until a timeout. */
  connect(): Promise<void>
  watchConnection(onLost: () => void, onReconnected: () => void): void
  /** The id that the store itself holds. Throws if the store does not answer. */
  readId(registered: SessionStoreRow | undefined): Promise<string | undefined>
  /** Ends all sessions in the store and all tokens that clients got for themselves. Then writes the id. */
  initialize(id: string): Promise<void>
  /** Writes the id into a store that has lost all its data. */
  writeId(id: string): Promise<void>
  /** Whether a service with another database writes to the store. */
  isInUseElsewhere(): Promise<boolean>
}

/** The name of a store in messages. */
export function placeOf({ kind, address }: Pick<SessionStoreRow, 'kind' | 'address'>): string {
  return kind === 'redis' ? `the Redis at ${address}` : 'the database'
}

/** Says where the registered sessions are, and which setting of this process is wrong. */
export function describeMismatch(
  registered: SessionStoreRow | undefined,
  configured: Pick<RegistrableStore, 'kind' | 'address'>,
  role: 'service' | 'command',
): string {
  if (!registered) return 'the database has no registered session store yet'
  const fault = `the database says that the sessions are in ${placeOf(registered)}`
  const same = 'as it is set for the running service'
  if (role === 'command' && registered.kind === 'redis' && placeOf(registered) === placeOf(configured)) {
    return `${fault}, but this Redis does not hold them: if it was emptied, start the service first, otherwise set REDIS_URL ${same}`
  }
  const remedy =
    registered.kind === 'database'
      ? 'REDIS_URL is set: unset it, because the running service does not use it'
      : configured.kind === 'database'
        ? `REDIS_URL is not set: set it ${same}`
        : `the Redis at ${configured.address} does not hold them: set REDIS_URL ${same}`
  const move =
    role === 'service' ? '. To change the session store, stop every instance first. Every user must sign in again' : ''
  return `${fault}, but ${remedy}${move}`
}
