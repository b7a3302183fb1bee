import type { ClientCredentials } from '../clients/client-authentication.js'
import { type ClientPermissions, type Clients, latestPossibleIssuedAt } from '../clients/clients.js'
import type { SessionStore } from '../sessions/session.js'
import type { Users } from '../users/users.js'

/**
 * Creates a client. Returns false when a client or an account has this id. Both ids are the `sub` of their tokens, and a
 * service that only reads `sub` must not confuse the two (RFC 9068 §5).
 */
export async function createClient(
  { clients, users }: { clients: Clients; users: Users },
  credentials: ClientCredentials,
  permissions: ClientPermissions,
): Promise<boolean> {
  return !(await users.find(credentials.id)) && clients.create(credentials, permissions)
}

/** Deletes a client and ends the tokens that it got for itself. Returns whether the client existed. */
export async function deleteClient(
  { clients, sessions }: { clients: Clients; sessions: SessionStore },
  id: string,
): Promise<boolean> {
  if (!(await clients.find(id))) return false
  // Ends the tokens first: when the session store is down, the client still exists and the caller may retry.
  await sessions.revokeClient(id, latestPossibleIssuedAt(Date.now()))
  return clients.delete(id)
}
