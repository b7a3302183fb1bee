import type { ClientCredentials } from '../clients/client-authentication.js'

/** The configuration of a service. Durations are milliseconds. */
export interface Config {
  readonly production: boolean
  readonly host: string
  /** Other machines may reach this service, and it is not in production. */
  readonly exposed: boolean
  /** TLS on both ports. Undefined: plain HTTP. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined
  readonly port: number
  readonly managementPort: number
  readonly issuer: string
  /** The first is the default. */
  readonly audiences: readonly [string, ...string[]]
  /** Unused when there is a key file. */
  readonly jwtSecrets: readonly [string, ...string[]]
  /** `audience`: each audience has an HS256 key of its own, derived from the shared secret. */
  readonly jwtSecretMode: 'shared' | 'audience'
  readonly jwtKeysFile: string | undefined
  readonly refreshSecrets: readonly [string, ...string[]]
  readonly databaseUrl: string
  /** The file of that address. Each new connection reads its credentials again. */
  readonly databaseUrlFile: string | undefined
  /** Undefined: the database keeps the sessions. */
  readonly redis: RedisConfig | undefined
  readonly accessTtl: number
  readonly refreshTtl: number
  readonly sessionMaxAge: number
  readonly refreshGrace: number
  readonly sessionsPerUser: number
  readonly signUp: 'open' | 'closed'
  /** TOTP secrets are sealed with the first. Empty: nobody can enrol TOTP. */
  readonly dataSecrets: readonly string[]
  readonly mfa: 'optional' | 'required'
  readonly relyingParty: { readonly id: string; readonly origins: readonly string[] }
  /** Pages on these origins may call the routes of people. */
  readonly corsOrigins: readonly string[]
  /** The origins whose pages may keep the refresh token in a cookie. Undefined: none. */
  readonly cookieOrigins: readonly string[] | undefined
  readonly bootstrapClient: ClientCredentials | undefined
  /** Names of account claims that tokens carry. */
  readonly accountClaims: readonly string[]
  readonly passwordMinLength: number
  readonly hashConcurrency: number
  readonly hashQueue: number
  readonly hashCost: 'full' | 'test'
  readonly trustProxy: readonly string[] | undefined
  readonly logLevel: string
  /** The OTLP endpoint that traces are sent to. */
  readonly tracesEndpoint: string | undefined
  readonly docs: boolean
  /** Whether the service serves its page for operators. */
  readonly console: boolean
  /** The file of the development secrets, when the service uses one of them, and the client if it is one of them. */
  readonly generated: { readonly file: string; readonly client: ClientCredentials | undefined } | undefined
}

export interface RedisConfig {
  readonly mode: 'single' | 'sentinel' | 'cluster'
  readonly urls: readonly [string, ...string[]]
  /** The file of these addresses. Each new connection reads its credentials again. */
  readonly urlFile: string | undefined
  readonly sentinelMaster: string | undefined
  readonly waitReplicas: number
}

/** What opens the stores and keeps the rules of their content. It holds none of the service's own secrets. */
export type StoresConfig = Pick<
  Config,
  | 'production'
  | 'databaseUrl'
  | 'databaseUrlFile'
  | 'redis'
  | 'accessTtl'
  | 'refreshTtl'
  | 'sessionMaxAge'
  | 'refreshGrace'
  | 'sessionsPerUser'
  | 'passwordMinLength'
  | 'hashConcurrency'
  | 'hashQueue'
>
