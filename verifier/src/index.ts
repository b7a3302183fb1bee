export type { RedisClient, RedisLocation } from './revocation/redis.js'
export type { ServiceOptions } from './service-verifier.js'
export { type AuthenticationDemand, meetsAuthentication } from './token/authentication.js'
export type { AccessTokenClaims, Actor } from './token/claims.js'
export type { Jwk } from './token/jwk.js'
export type { Jwks, KeyOptions } from './token/keys.js'
export { TokenError, type TokenErrorCode } from './token/token-error.js'
export type { Verifier } from './token-verifier.js'
export {
  createVerifier,
  type IntrospectOptions,
  type RevocationOptions,
  type VerifierOptions,
} from './verifier.js'
