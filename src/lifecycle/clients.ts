import { type ClientPermissions, type Clients, latestPossibleIssuedAt, type NewClient } from '../clients/clients.js'
import type { SessionStore } from '../sessions/session.js'
import type { Users } from '../users/users.js'

/**
 * Creates a client. Its id is the `sub` of its tokens, and so is the id of an account. A service that only reads `sub` must not
 * confuse the two (RFC 9068 §5).
 */
export async function createClient(
  { clients, users }: { clients: Clients; users: Users },
  client: NewClient,
  permissions: ClientPermissions,
): Promise<'created' | 'id_taken' | 'subject_taken' | 'unknown_issuer'> {
  if (await users.find(client.id)) return 'id_taken'
  const fault = client.binding && (await clients.findBindingFault(client.id, client.binding))
  if (fault) return fault
  return (await clients.create(client, permissions)) ? 'created' : 'id_taken'
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
