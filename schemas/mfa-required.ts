import { type Static, Type } from './typebox.js'

/** A ticket of this service in an answer or a body. */
export const MfaToken = Type.String({
  minLength: 1,
  maxLength: 4096,
  description: '`mfa_token` of the answer to the password',
  examples: ['lkt_eyJzdWIiOiI….Kq3N…'],
})

/** The answer to the right password of an account that needs a second factor. */
export const MfaRequired = Type.Object(
  {
    error: Type.Literal('mfa_required'),
    error_description: Type.String(),
    mfa_token: MfaToken,
    expires_in: Type.Integer({ description: 'Seconds until the `mfa_token` expires' }),
    factors: Type.Array(Type.String(), {
      description: 'What the account can send: `totp`, `passkey`, `recovery_code`. Empty: it must enrol a factor first',
    }),
  },
  {
    description: 'The password is right, and the account needs a second factor',
    examples: [
      {
        error: 'mfa_required',
        error_description: 'send the mfa_token and one of the factors to /login/mfa',
        mfa_token: 'lkt_eyJzdWIiOiI….Kq3N…',
        expires_in: 300,
        factors: ['totp', 'passkey', 'recovery_code'],
      },
    ],
  },
)
export type MfaRequired = Static<typeof MfaRequired>

/** An object of WebAuthn, whose members the library and the browser check. */
export const OpenObject = Type.Unsafe<object>({ type: 'object', additionalProperties: true })

/** A response of the browser to the options of `/login/passkey/options`. */
export const PasskeyResponse = Type.Unsafe<Record<string, unknown>>({
  type: 'object',
  additionalProperties: true,
  description: '`AuthenticationResponseJSON` of WebAuthn',
})

/** One of the factors of an account. */
export const PresentedFactor = {
  totp: Type.Optional(
    Type.String({ minLength: 1, maxLength: 32, description: 'Code of an authenticator app', examples: ['492039'] }),
  ),
  recovery_code: Type.Optional(
    Type.String({ minLength: 1, maxLength: 64, description: 'Good once', examples: ['k7f2-9xqd-m3ta-04rw'] }),
  ),
  passkey: Type.Optional(PasskeyResponse),
}
