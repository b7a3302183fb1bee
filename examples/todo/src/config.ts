/** The `aud` of tokens for this service. The token service's AUDIENCE must list it. */
export const AUDIENCE = 'todo'

export interface TodoConfig {
  host: string
  port: number
  logLevel: string
  databasePath: string
  /** The address of the token service, without a slash at the end. */
  tokenService: string
  /** The `iss` of its tokens. */
  issuer: string
  /** A client of the token service: its scope `introspect` verifies tokens and finds names, `recovery` serves the mails. */
  clientId: string
  clientSecret: string
  /** The Redis with the revocation feed. Without it each token is introspected. */
  redisUrl: string | undefined
  /** The shared secrets. Without them the public keys of the token service verify tokens. */
  jwtSecrets: string[] | undefined
  /** Seconds after a sign-in from which "Sign out everywhere" asks to step up. */
  stepUpAfter: number
  /** The address of the page in mails. Never the Host header of a request, which its sender chooses. */
  publicUrl: string
}

/** @throws {Error} that names every setting that is missing */
export function readTodoConfig(env: Readonly<Record<string, string | undefined>>): TodoConfig {
  const tokenService = (env.TOKEN_SERVICE || 'http://localhost:3000').replace(/\/$/, '')
  const redisUrl = env.REDIS_URL || undefined
  const missing = redisUrl ? [] : ['CLIENT_ID', 'CLIENT_SECRET'].filter((name) => !env[name])
  if (missing.length > 0) throw new Error(`set ${missing.join(' and ')}, or REDIS_URL: see examples/todo/README.md`)
  const port = Number(env.PORT || 4000)
  return {
    host: env.HOST || '127.0.0.1',
    port,
    logLevel: env.LOG_LEVEL || 'info',
    databasePath: env.TODO_DATABASE || 'data/todo.db',
    tokenService,
    issuer: env.ISSUER || tokenService,
    clientId: env.CLIENT_ID ?? '',
    clientSecret: env.CLIENT_SECRET ?? '',
    redisUrl,
    stepUpAfter: Number(env.STEP_UP_AFTER || 60),
    publicUrl: (env.PUBLIC_URL || `http://localhost:${port}`).replace(/\/$/, ''),
    jwtSecrets: env.JWT_SECRET ? env.JWT_SECRET.split(',').map((secret) => secret.trim()) : undefined,
  }
}
