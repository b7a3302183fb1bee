import type { Logger } from 'pino'
import { createFileKeyRing, createSecretKeyRing, type KeyRing, type SigningKeys } from './key-ring.js'

export interface KeySource {
  /** Shared HS256 secrets. */
  jwtSecrets: readonly [string, ...string[]]
  /** The path of a private JWK Set: its keys replace the secrets. */
  jwtKeysFile: string | undefined
}

/**
 * The key ring that the configuration names. A key file is read again when it changes, and on SIGHUP.
 *
 * @throws Error when the key file cannot be used
 */
export function openKeyRing(
  { jwtSecrets, jwtKeysFile }: KeySource,
  parse: (text: string) => SigningKeys,
  logger: Logger,
): KeyRing {
  if (jwtKeysFile === undefined) return createSecretKeyRing(jwtSecrets)
  const ring = createFileKeyRing(jwtKeysFile, {
    parse,
    onRead: (keys) => logger.info({ kids: keys.map(({ kid }) => kid) }, 'the key file was read: the first key signs'),
    onInvalid: (reason) => logger.error({ reason }, 'the key file is broken: the previous keys stay in use'),
  })
  process.on('SIGHUP', ring.reread)
  return {
    keys: ring.keys,
    close() {
      process.off('SIGHUP', ring.reread)
      ring.close()
    },
  }
}
