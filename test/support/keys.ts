import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, generateSecret, type JWK } from 'jose'
import type { Test } from 'tap'
import { temporaryFolder } from './service.js'

// jose makes the keys and checks the tokens, because the tested code must not check itself.

export const algorithms = ['HS256', 'ES256', 'RS256', 'EdDSA'] as const
export type Algorithm = (typeof algorithms)[number]
export type PrivateKey = JWK & { kid: string; alg: Algorithm }

/** A new private key in the form of a key file. */
export async function makeKey(alg: Algorithm): Promise<PrivateKey> {
  const extractable = true
  const key =
    alg === 'HS256'
      ? await generateSecret(alg, { extractable })
      : (await generateKeyPair(alg, { extractable })).privateKey
  const jwk = await exportJWK(key)
  return { ...jwk, alg, kid: await calculateJwkThumbprint(jwk) }
}

/** The public half of a key in the form of a JWKS. */
export function publicJwk({ kty, crv, x, y, n, e, kid, alg }: PrivateKey): JWK {
  return JSON.parse(JSON.stringify({ kty, crv, x, y, n, e, kid, alg, use: 'sig' }))
}

export const jwkSet = (...keys: JWK[]): string => JSON.stringify({ keys })

/** Writes a key file, which the end of the test deletes. */
export function writeKeyFile(t: Test, ...keys: JWK[]): string {
  const path = join(temporaryFolder(t), 'keys.json')
  writeFileSync(path, jwkSet(...keys))
  return path
}

/** The settings of a service that signs with these keys. */
export const keyFileSettings = (path: string) => ({ JWT_SECRET: '', JWT_KEYS_FILE: path })
