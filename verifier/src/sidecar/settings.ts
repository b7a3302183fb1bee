import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { ClientCredentials } from '../client-authentication.js'
import type { ServiceOptions } from '../service-verifier.js'

export interface SidecarSettings {
  verifier: ServiceOptions
  /** A TCP port with its host, or the path of a Unix socket. */
  listen: { port: number; host: string } | { path: string }
}

/** The settings are wrong. The message has a line for each fault. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError'
}

type Environment = Readonly<Record<string, string | undefined>>

/** @throws SettingsError with every fault. No line contains a secret */
export function readSettings(env: Environment): SidecarSettings {
  const faults: string[] = []
  const required = (name: string, meaning: string): string => {
    const value = env[name] ?? ''
    if (value === '') faults.push(`${name} is missing: set it to ${meaning}`)
    return value
  }

  const service = required('LATCHKEY_URL', 'the URL of the service, for example http://latchkey:3000')
  if (service !== '' && !isHttpUrl(service)) faults.push('LATCHKEY_URL must begin with https:// or http://')
  const audience = required('AUDIENCE', 'the audiences of your application, separated by commas')
    .split(',')
    .map((each) => each.trim())
    .filter(Boolean)
  const clientId = required('CLIENT_ID', 'the id of a client with the scope introspect')
  const credentials = readCredentials(env, faults)
  const maxStaleness = parseDuration(env.MAX_STALENESS || '1s')
  if (maxStaleness === undefined) {
    faults.push('MAX_STALENESS must be a duration of more than 0, for example 1s or 500ms')
  }
  const listen = parseAddress(env.PORT || '4180', env.HOST || '127.0.0.1')
  if (!listen)
    faults.push('PORT must be a number from 0 to 65535, or the path of a Unix socket, for example /run/latchkey.sock')
  if (faults.length > 0 || !listen) throw new SettingsError(faults.join('\n'))
  return {
    verifier: {
      service,
      audience,
      clientId,
      ...credentials,
      maxStaleness: maxStaleness as number,
      ...(env.ISSUER && { issuer: env.ISSUER }),
    },
    listen,
  }
}

const CREDENTIALS = ['CLIENT_SECRET', 'CLIENT_SECRET_FILE', 'CLIENT_ASSERTION_FILE'] as const

function readCredentials(env: Environment, faults: string[]): Omit<ClientCredentials, 'clientId'> {
  const given = CREDENTIALS.filter((name) => env[name])
  const { CLIENT_SECRET: secret, CLIENT_SECRET_FILE: secretFile, CLIENT_ASSERTION_FILE: assertionFile } = env
  if (given.length > 1) {
    faults.push(`${given.join(' and ')} are ${given.length === 2 ? 'both' : 'all'} set: set one of them`)
  } else if (secret) return { clientSecret: secret }
  else if (secretFile) return { clientSecret: readSecretFile(secretFile, faults) }
  else if (assertionFile) return { clientAssertion: () => readAssertion(assertionFile) }
  else {
    faults.push(
      'CLIENT_SECRET is missing: set it, or set CLIENT_SECRET_FILE to a file with the secret, ' +
        'or CLIENT_ASSERTION_FILE to a file with the token of a service account or a JWT-SVID',
    )
  }
  return {}
}

/** The file is read for each request to the service, because the kubelet and SPIFFE agents replace the token while it is in use. */
async function readAssertion(file: string): Promise<string> {
  let assertion: string
  try {
    assertion = (await readFile(file, 'utf8')).trim()
  } catch (error) {
    throw new Error(`CLIENT_ASSERTION_FILE: ${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
  if (assertion === '') throw new Error(`CLIENT_ASSERTION_FILE: ${file} is empty`)
  return assertion
}

function readSecretFile(file: string, faults: string[]): string {
  try {
    const secret = readFileSync(file, 'utf8').trim()
    if (secret === '') faults.push(`CLIENT_SECRET_FILE: ${file} is empty`)
    return secret
  } catch (error) {
    faults.push(`CLIENT_SECRET_FILE: ${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`)
    return ''
  }
}

/** Milliseconds, or undefined. */
function parseDuration(text: string): number | undefined {
  const [, digits, unit] = /^(\d{1,9})(ms|s|m)$/.exec(text) ?? []
  const milliseconds = Number(digits) * (unit === 'ms' ? 1 : unit === 's' ? 1000 : 60_000)
  return milliseconds > 0 ? milliseconds : undefined
}

function parseAddress(port: string, host: string): SidecarSettings['listen'] | undefined {
  if (port.startsWith('/') || port.startsWith('./')) return { path: port }
  return /^\d{1,5}$/.test(port) && Number(port) <= 65_535 ? { port: Number(port), host } : undefined
}

function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && ['http:', 'https:'].includes(new URL(text).protocol)
}
