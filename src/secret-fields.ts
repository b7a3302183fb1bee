/** Request parameters whose value is a secret. They are refused in an address and redacted in the log. */
export const SECRET_PARAMETERS: ReadonlySet<string> = new Set([
  'token',
  'access_token',
  'refresh_token',
  'password',
  'current_password',
  'new_password',
  'client_secret',
  'client_assertion',
  'mfa_token',
  'totp',
  'recovery_code',
  'passkey',
])
