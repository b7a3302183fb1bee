/** What the routes of factors say in their errors. */

const MALFORMED = ['invalid_request', 'send one of totp, recovery_code and passkey'] as const

/** A factor is proved: after the password, or in a step-up. */
export const wrongFactor = {
  description:
    'The factor or the password is wrong, or the factor was used (`invalid_grant`), or the bearer token or the client is not valid',
  examples: [['invalid_grant', 'the code or the passkey is wrong, or was used: send another']],
} as const

export const endedMfaToken = {
  description: 'The request is malformed, or the `mfa_token` has ended (`invalid_grant`): ask for the password again',
  examples: [
    MALFORMED,
    [
      'invalid_grant',
      'the mfa_token is not valid here: sign in again with the password, as the same client, and enrol a factor if factors is empty',
    ],
  ],
} as const

export const wrongPasskey = {
  description:
    'The passkey is unknown or removed, or its account is disabled. Or the response is too old, was used, comes from another ' +
    'origin, or did not verify its user (`invalid_grant`). Or the client is not valid (`invalid_client`)',
  examples: [['invalid_grant', 'the passkey is not valid here: try again, or sign in with the password']],
} as const

export const tooManyCodes = {
  description: 'Five wrong factors of the account: it waits, whatever the address. `Retry-After` says how long',
  examples: [['temporarily_unavailable', 'too many wrong codes: try again in 5 s']],
} as const

/** A factor is changed. */
export const notRecent = {
  description:
    'The sign-in is too old, or without a factor (`insufficient_user_authentication`): step up, and send the request again. Or the ' +
    'bearer token is not valid (`invalid_token`)',
  examples: [
    [
      'insufficient_user_authentication',
      'the person must have signed in with two factors, at most 300 s ago: step up, and use the new token',
    ],
    ['invalid_token', 'the token is not valid, or its session has ended'],
  ],
} as const

const CHANGED = ['factors_changed', 'the factors of the account changed meanwhile: read them, and try again'] as const

export const factorsChanged = {
  description: 'Another request changed the factors meanwhile (`factors_changed`)',
  examples: [CHANGED],
} as const

export const cannotRemove = {
  description:
    'It is the last factor of an account that must have one (`last_factor`), or the factors changed meanwhile',
  examples: [
    ['last_factor', 'the account must have a second factor: enrol another one before you remove this one'],
    CHANGED,
  ],
} as const

export const cannotAddPasskey = {
  description: 'An account has this passkey, or the account has 20 passkeys, or its factors changed meanwhile',
  examples: [
    ['passkey_taken', 'this passkey is registered already: use another one'],
    ['too_many_passkeys', 'an account has at most 20 passkeys: remove one'],
    CHANGED,
  ],
} as const

export const noSuchFactor = {
  description: 'The account does not have this factor',
  examples: [['not_found', 'this factor does not exist']],
} as const

export const noFactors = {
  description: 'The account has no second factor',
  examples: [['not_found', 'the account has no second factor: enrol one, and it brings recovery codes']],
} as const

export const totpIsOff = {
  description: 'The service has no `DATA_SECRET`',
  examples: [['not_found', 'TOTP is off: register a passkey, or ask the operator to set DATA_SECRET']],
} as const

export const notConfirmed = {
  description: 'The code is wrong, or no enrolment of the last 10 minutes waits for it',
  examples: [
    ['invalid_request', 'the code is wrong, or no enrolment waits for it: send the code that the app shows now'],
  ],
} as const

export const notFreshOptions = {
  description:
    'The response does not answer options of the last 5 minutes, or was sent before, or comes from another origin',
  examples: [
    [
      'invalid_request',
      'passkey is not a response to fresh options of this service: ask /users/me/factors/passkeys/options again',
    ],
  ],
} as const

/** A password is recovered. */
export const endedRecoveryToken = {
  description: 'The token has ended (`invalid_grant`), or the new password breaks a rule: the token is then not spent',
  examples: [
    ['invalid_grant', 'the token is not valid any more: ask for another one'],
    ['invalid_request', 'the password is too short: use 15 characters or more'],
  ],
} as const

export const noSuchAccount = {
  description: 'The account is unknown or disabled. Give the person the same answer as for a known one',
  examples: [['not_found', 'this account does not exist']],
} as const
