/** The name that tokens for this service bear as `aud`. The token service's AUDIENCE must list it. */
export const AUDIENCE = 'todo'

export interface TodoConfig {
  host: string
  port: number
  logLevel: string
  databasePath: string
  /** Where the token service is, with no slash at the end. */
  tokenService: string
  /** What its tokens bear as `iss`. */
  issuer: string
  clientId: string
  clientSecret: string
  /** Where revocations are followed; without it each token is introspected. */
  redisUrl: string | undefined
  /** The shared secrets; without them, the token service's public keys. */
  jwtSecrets: string[] | undefined
}

/** @throws {Error} that names every setting that is missing */
export function readTodoConfig(env: Readonly<Record<string, string | undefined>>): TodoConfig {
  const tokenService = (env.TOKEN_SERVICE || 'http://localhost:3000').replace(/\/$/, '')
  const redisUrl = env.REDIS_URL || undefined
  const missing = redisUrl ? [] : ['CLIENT_ID', 'CLIENT_SECRET'].filter((name) => !env[name])
  if (missing.length > 0) throw new Error(`set ${missing.join(' and ')}, or REDIS_URL: see examples/todo/README.md`)
  return {
    host: env.HOST || '127.0.0.1',
    port: Number(env.PORT || 4000),
    logLevel: env.LOG_LEVEL || 'info',
    databasePath: env.TODO_DATABASE || 'data/todo.db',
    tokenService,
    issuer: env.ISSUER || tokenService,
    clientId: env.CLIENT_ID ?? '',
    clientSecret: env.CLIENT_SECRET ?? '',
    redisUrl,
    jwtSecrets: env.JWT_SECRET ? env.JWT_SECRET.split(',').map((secret) => secret.trim()) : undefined,
  }
}
