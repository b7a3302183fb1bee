import { randomUUID } from 'node:crypto'
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { createClients } from '../../src/clients/clients.js'
import { readStoresConfig } from '../../src/config/read.js'
import type { Answer, Api } from './api.js'
import { openReadyDatabase } from './ready-database.js'
import { type Environment, ISSUER } from './service.js'

// Keys are made and assertions signed by jose: neither by the code that is tested.

export const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
export const signerAlgorithms = ['ES256', 'RS256', 'PS256', 'EdDSA'] as const
export type SignerAlgorithm = (typeof signerAlgorithms)[number]

/** Somebody who signs: a client, or an issuer. */
export interface Signer {
  alg: SignerAlgorithm
  privateKey: CryptoKey
  /** As a JWK Set has it. */
  publicJwk: JWK & { kid: string }
}

export async function makeSigner(alg: SignerAlgorithm = 'ES256'): Promise<Signer> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = await exportJWK(publicKey)
  return { alg, privateKey, publicJwk: { ...jwk, alg, kid: await calculateJwkThumbprint(jwk) } }
}

export const jwksOf = (...signers: Signer[]) => ({ keys: signers.map(({ publicJwk }) => publicJwk) })

export const secondsNow = () => Math.floor(Date.now() / 1000)

/** Signs these claims, and no other. A claim that is undefined is left out. */
export function sign(
  { alg, privateKey, publicJwk: { kid } }: Signer,
  claims: object,
  header: object = {},
): Promise<string> {
  return new SignJWT(JSON.parse(JSON.stringify(claims)))
    .setProtectedHeader(JSON.parse(JSON.stringify({ alg, kid, ...header })))
    .sign(privateKey)
}

/** An assertion that a client signs, with these claims changed. */
export function assertion(
  signer: Signer,
  clientId: string,
  changes: object = {},
  header: object = {},
): Promise<string> {
  const now = secondsNow()
  const claims = { iss: clientId, sub: clientId, aud: ISSUER, jti: randomUUID(), iat: now, exp: now + 60 }
  return sign(signer, { ...claims, ...changes }, header)
}

export const asserted = (token: string) => ({ client_assertion_type: JWT_BEARER, client_assertion: token })

/** Asks for a token of the client's own with this assertion. */
export function tokenBy(api: Api, token: string, more: Record<string, string> = {}): Promise<Answer> {
  return api.call('/token', { form: { grant_type: 'client_credentials', ...asserted(token), ...more } })
}

/** A client that has no secret, in the database of a service that runs on `env`. */
export async function makeKeyClient(
  env: Environment,
  id: string,
  proof: { jwks?: object; jwksUri?: string; binding?: { issuer: string; subject: string } },
  scopes: string[] = ['introspect'],
): Promise<void> {
  const database = await openReadyDatabase(readStoresConfig(env).databaseUrl)
  const { jwks, ...others } = proof
  const keys = jwks && { jwks: JSON.stringify((jwks as { keys: unknown }).keys) }
  await createClients(database).create({ id, ...others, ...keys }, { scopes, audiences: [] })
  await database.close()
}

export const refusedClient = { status: 401, body: { error: 'invalid_client' } }
