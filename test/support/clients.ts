import { type ClientPermissions, createClients, generateClientSecret } from '../../src/clients/clients.js'
import { readStoresConfig } from '../../src/config/read.js'
import { openReadyDatabase } from './ready-database.js'
import type { Environment } from './service.js'

export interface Credentials {
  id: string
  secret: string
}

/** Creates a client in the database of a service that runs on `env`. */
export async function createClient(
  env: Environment,
  id: string,
  grants: Partial<ClientPermissions> = {},
): Promise<Credentials> {
  const database = await openReadyDatabase(readStoresConfig(env).databaseUrl)
  const credentials = { id, secret: generateClientSecret() }
  await createClients(database).create(credentials, { scopes: [], audiences: [], ...grants })
  await database.close()
  return credentials
}

/** Gives the client a new secret. Its present secret works for `overlap` milliseconds more. */
export async function rotateSecret(env: Environment, { id }: Credentials, overlap: number): Promise<Credentials> {
  const database = await openReadyDatabase(readStoresConfig(env).databaseUrl)
  const credentials = { id, secret: generateClientSecret() }
  await createClients(database).rotateSecret(credentials, overlap)
  await database.close()
  return credentials
}
