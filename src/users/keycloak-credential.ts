/**
 * Turns a credential of a Keycloak export into a PHC string. Such a credential has two texts of JSON: `credentialData` with the
 * algorithm, and `secretData` with salt and value.
 *
 * @returns undefined when the value is not such a credential
 */
export function toPhcString(credential: object): string | undefined {
  const { credentialData, secretData } = credential as Record<string, unknown>
  const data = parse(credentialData)
  const { salt, value } = parse(secretData)
  const { algorithm, hashIterations, additionalParameters } = data
  if (typeof salt !== 'string' || typeof value !== 'string' || !Number.isInteger(hashIterations)) return undefined
  if (algorithm === 'argon2') {
    const parameter = (name: string) =>
      [(additionalParameters as Record<string, unknown> | undefined)?.[name]].flat()[0]
    const version = parameter('version') === '1.0' ? 16 : 19
    const parameters = `m=${parameter('memory')},t=${hashIterations},p=${parameter('parallelism')}`
    return `$argon2${parameter('type')}$v=${version}$${parameters}$${withoutPadding(salt)}$${withoutPadding(value)}`
  }
  // `pbkdf2` is PBKDF2 with SHA-1.
  return typeof algorithm === 'string' && /^pbkdf2(-sha256|-sha512)?$/.test(algorithm)
    ? `$${algorithm}$i=${hashIterations}$${salt}$${value}`
    : undefined
}

const withoutPadding = (text: string) => text.replace(/=+$/, '')

function parse(json: unknown): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(String(json))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
