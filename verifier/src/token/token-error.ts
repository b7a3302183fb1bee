/** The reason why a token was refused. The codes are stable, so callers may switch on them. Never send one to the caller. */
export type TokenErrorCode =
  | 'malformed'
  | 'unsupported_header'
  | 'unknown_key'
  | 'bad_signature'
  | 'bad_claims'
  | 'wrong_issuer'
  | 'wrong_audience'
  | 'expired'
  | 'not_yet_valid'
  /** The token or its session has been revoked. */
  | 'revoked'
  /** The verifier cannot find out now whether the token is valid. */
  | 'unavailable'

/** A token was refused. The message is for logs and never contains the token. */
export class TokenError extends Error {
  override readonly name = 'TokenError'
  constructor(
    readonly code: TokenErrorCode,
    message: string,
  ) {
    super(message)
  }
}
