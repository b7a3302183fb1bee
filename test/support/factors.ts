import { type Answer, type Api, type Tokens, untilAvailable } from './api.js'
import { Authenticator } from './authenticator.js'
import { AuthenticatorApp } from './authenticator-app.js'
import { PASSWORD } from './service.js'

/** A person with a session of just now. */
export interface Enrolled {
  tokens: Tokens
  recoveryCodes: string[]
}

/** Signs up, and in. */
export async function newPerson(api: Api, name: string): Promise<{ sub: string; tokens: Tokens }> {
  const { body } = await api.signUp(name, PASSWORD)
  return { sub: body.id, tokens: await api.tokens(name, PASSWORD) }
}

/** Enrols an app with this access token, or the `mfa_token` of a sign-in that must enrol. */
export async function enrolTotp(api: Api, bearer: string): Promise<{ app: AuthenticatorApp; answer: Answer }> {
  const begun = must(await api.call('/users/me/factors/totp', { method: 'POST', bearer }))
  const app = new AuthenticatorApp(begun.body.secret)
  const answer = must(await api.call('/users/me/factors/totp/confirm', { bearer, json: { totp: await app.next() } }))
  return { app, answer }
}

export async function enrolPasskey(
  api: Api,
  bearer: string,
  passkey = new Authenticator(),
): Promise<{ passkey: Authenticator; answer: Answer }> {
  const options = must(await api.call('/users/me/factors/passkeys/options', { method: 'POST', bearer })).body
  const json = { passkey: passkey.create(options) }
  return { passkey, answer: must(await api.call('/users/me/factors/passkeys', { bearer, json })) }
}

/** The `mfa_token` of a sign-in with the right password. */
export async function mfaToken(api: Api, name: string, password = PASSWORD): Promise<string> {
  const answer = await untilAvailable(() => api.login(name, password))
  if (answer.status !== 403 || answer.body.error !== 'mfa_required') {
    throw new Error(`sign-in answered ${answer.status} ${answer.text}`)
  }
  return answer.body.mfa_token
}

export const loginMfa = (api: Api, token: string, factor: object): Promise<Answer> =>
  api.call('/login/mfa', { json: { mfa_token: token, ...factor } })

/** The options of a passkey's sign-in: anybody's, or those of one `mfa_token`. */
export async function passkeyOptions(api: Api, token?: string) {
  const json = token === undefined ? {} : { mfa_token: token }
  return must(await api.call('/login/passkey/options', { json })).body
}

function must(answer: Answer): Answer {
  if (answer.status !== 200) throw new Error(`answered ${answer.status} ${answer.text}`)
  return answer
}
