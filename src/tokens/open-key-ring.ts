import type { Logger } from 'pino'
import { createAudienceKeyRing } from './audience-keys.js'
import { createFileKeyRing, createSecretKeyRing, type KeyRing, type SigningKeys } from './key-ring.js'

interface KeySource {
  production: boolean
  issuer: string
  audiences: readonly string[]
  /** Shared HS256 secrets. */
  jwtSecrets: readonly [string, ...string[]]
  /** `audience`: the secrets sign nothing, but each audience gets a key that is derived from them. */
  jwtSecretMode: 'shared' | 'audience'
  /** The path of a private JWK Set: its keys replace the secrets. */
  jwtKeysFile: string | undefined
}

/**
 * The key ring that the configuration names. A key file is read again when it changes, and on SIGHUP.
 *
 * @throws Error when the key file cannot be used
 */
export function openKeyRing(source: KeySource, parse: (text: string) => SigningKeys, logger: Logger): KeyRing {
  const { production, issuer, audiences, jwtSecrets, jwtSecretMode, jwtKeysFile } = source
  const ring = jwtKeysFile === undefined ? createSecretKeyRing(jwtSecrets) : openFile(jwtKeysFile, parse, logger)
  if (jwtSecretMode === 'audience') return createAudienceKeyRing(ring, [...new Set([...audiences, issuer])])
  if (production && audiences.length > 1 && ring.keys().some(({ alg }) => alg === 'HS256')) {
    logger.warn(
      { audiences },
      'a service that verifies with the shared secret can sign tokens for every audience: ' +
        'set JWT_SECRET_MODE=audience, or sign with a private key',
    )
  }
  return ring
}

function openFile(path: string, parse: (text: string) => SigningKeys, logger: Logger): KeyRing {
  const ring = createFileKeyRing(path, {
    parse,
    onRead: (keys) => logger.info({ kids: keys.map(({ kid }) => kid) }, 'the key file was read: the first key signs'),
    onInvalid: (reason) => logger.error({ reason }, 'the key file is broken: the previous keys stay in use'),
  })
  process.on('SIGHUP', ring.reread)
  return {
    ...ring,
    close() {
      process.off('SIGHUP', ring.reread)
      ring.close()
    },
  }
}
