import type { ClientCredentials } from '../clients/client-authentication.js'
import { type ClientPermissions, type Clients, latestPossibleIssuedAt } from '../clients/clients.js'
import type { SessionStore } from '../sessions/session.js'
import type { Users } from '../users/users.js'

/**
 * Makes a client and answers whether it did: not where there is one of this id, or an account. Both are the `sub` of their
 * tokens, and a service that looks at nothing else must not take one for the other (RFC 9068 §5).
 */
export async function createClient(
  { clients, users }: { clients: Clients; users: Users },
  credentials: ClientCredentials,
  grants: ClientPermissions,
): Promise<boolean> {
  return !(await users.find(credentials.id)) && clients.create(credentials, grants)
}

/** Deletes a client and ends the tokens that it got for itself. Answers whether there was one. */
export async function deleteClient(
  { clients, sessions }: { clients: Clients; sessions: SessionStore },
  id: string,
): Promise<boolean> {
  if (!(await clients.find(id))) return false
  // The tokens first: if the sessions' store is away, the client is still there and this can be repeated.
  await sessions.revokeClient(id, latestPossibleIssuedAt(Date.now()))
  return clients.delete(id)
}
