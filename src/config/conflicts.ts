import type { ClientCredentials } from '../clients/client-authentication.js'
import type { Config, StoresConfig } from './config.js'
import { MAKE_KEY, MAKE_SECRET } from './parsers.js'
import { findWeakness, weaknessOf } from './weak-secrets.js'

/** The secrets of an environment. Undefined: not set, or with a fault. */
interface Secrets {
  jwtSecrets: readonly string[] | undefined
  refreshSecrets: readonly string[] | undefined
  dataSecrets: readonly string[] | undefined
  /** The shared secrets of JWT_KEYS_FILE. */
  keyFile: { secrets: readonly Buffer[] } | undefined
  bootstrapClient: ClientCredentials | undefined
}

/** Milliseconds. A thief of a refresh token goes unnoticed for this time. */
const MAX_GRACE = 86_400_000

/** The faults of lifetimes that contradict each other. Tests bend lifetimes, so NODE_ENV=test permits short sessions. */
export function findLifetimeConflicts(stores: Omit<StoresConfig, 'production'>, isTest: boolean): string[] {
  const { accessTtl, refreshTtl, sessionMaxAge, refreshGrace } = stores
  const faults: string[] = []
  if (refreshGrace > MAX_GRACE) {
    faults.push('REFRESH_GRACE: must be at most 1d: in this time nobody notices a stolen refresh token')
  }
  if (isTest) return faults
  if (refreshTtl < accessTtl) {
    faults.push('REFRESH_TTL: must not be shorter than ACCESS_TTL: the session would end before its access token')
  }
  if (sessionMaxAge > 0 && sessionMaxAge < accessTtl) {
    faults.push('SESSION_MAX_AGE: must not be shorter than ACCESS_TTL: the session would end before its access token')
  }
  if (refreshGrace > 0 && refreshGrace >= refreshTtl) {
    faults.push('REFRESH_GRACE: must be shorter than REFRESH_TTL')
  }
  return faults
}

/** The faults of secrets that exclude each other. Services that know JWT_SECRET must not know the others. */
export function findSecretConflicts(
  { jwtSecrets, refreshSecrets, dataSecrets, keyFile }: Secrets,
  isMissing: (name: string) => boolean,
): string[] {
  const faults: string[] = []
  if (!isMissing('JWT_SECRET') && !isMissing('JWT_KEYS_FILE')) {
    faults.push('JWT_KEYS_FILE: is set, and so is JWT_SECRET: keep one of them')
  }
  if (jwtSecrets?.some((secret) => refreshSecrets?.includes(secret))) {
    faults.push('REFRESH_SECRET: must differ from JWT_SECRET, which other services know')
  }
  if (keyFile?.secrets.some((key) => refreshSecrets?.some((secret) => key.equals(Buffer.from(secret))))) {
    faults.push('REFRESH_SECRET: must differ from the secrets of JWT_KEYS_FILE, which other services know')
  }
  if (dataSecrets?.some((secret) => jwtSecrets?.includes(secret) || refreshSecrets?.includes(secret))) {
    faults.push('DATA_SECRET: must differ from JWT_SECRET and REFRESH_SECRET')
  }
  return faults
}

/** The faults of secrets that are missing in production, or that somebody can guess. */
export function findWeakSecrets(
  { jwtSecrets, refreshSecrets, dataSecrets, keyFile, bootstrapClient }: Secrets,
  isMissing: (name: string) => boolean,
): string[] {
  const faults: string[] = []
  const settings = { JWT_SECRET: jwtSecrets, REFRESH_SECRET: refreshSecrets, DATA_SECRET: dataSecrets }
  for (const [name, secrets] of Object.entries(settings)) {
    if (name !== 'DATA_SECRET' && isMissing(name) && !(name === 'JWT_SECRET' && !isMissing('JWT_KEYS_FILE'))) {
      faults.push(`${name}: must be set in production: ${MAKE_SECRET}`)
    }
    const weakness = findWeakness(secrets ?? [])
    if (weakness) faults.push(`${name}: a secret can be guessed: ${weakness}: ${MAKE_SECRET}`)
  }
  const keyWeakness = findWeakness(keyFile?.secrets ?? [])
  if (keyWeakness) faults.push(`JWT_KEYS_FILE: a shared secret can be guessed: ${keyWeakness}: ${MAKE_KEY}`)
  const clientWeakness = bootstrapClient && weaknessOf(bootstrapClient.secret)
  if (clientWeakness) faults.push(`BOOTSTRAP_CLIENT: the secret can be guessed: ${clientWeakness}: ${MAKE_SECRET}`)
  return faults
}

/** The fault of an origin outside the domain: browsers refuse its passkeys there. */
export function findOriginConflicts({ id, origins }: Config['relyingParty']): string[] {
  const isInDomain = ({ hostname }: URL) => hostname === id || hostname.endsWith(`.${id}`)
  if (origins.every((origin) => isInDomain(new URL(origin)))) return []
  return [`WEBAUTHN_ORIGINS: each origin must be in the domain of WEBAUTHN_RP_ID, ${id}`]
}

/** Whether other machines may reach a service that has development secrets and open sign-up. */
export function isExposed({ production, host }: Pick<Config, 'production' | 'host'>): boolean {
  return !production && !/^(localhost|127(\.\d+){3}|::1|::ffff:127(\.\d+){3})$/i.test(host)
}
