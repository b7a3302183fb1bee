import { type Clients, lastIssue } from '../clients/clients.js'
import type { SessionStore } from '../sessions/session.js'

/** Deletes a client and ends the tokens that it got for itself. Answers whether there was one. */
export async function deleteClient(
  { clients, sessions }: { clients: Clients; sessions: SessionStore },
  id: string,
): Promise<boolean> {
  if (!(await clients.find(id))) return false
  // The tokens first: if the sessions' store is away, the client is still there and this can be repeated.
  await sessions.revokeClient(id, lastIssue(Date.now()))
  return clients.delete(id)
}
