import type { Config, StoresConfig } from './config.js'

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

/** Whether other machines may reach a service that has development secrets and open sign-up. */
export function isExposed({ production, host }: Pick<Config, 'production' | 'host'>): boolean {
  return !production && !/^(localhost|127(\.\d+){3}|::1|::ffff:127(\.\d+){3})$/i.test(host)
}
