// The session of the administrator, and calls of the admin API. Tokens are in sessionStorage: they end with the tab.

import { ask } from './dom.js'
import { canUsePasskeys, provePasskey } from './passkey.js'

const KEPT = 'latchkey-console'
const BASE = new URL('../', document.baseURI)
let session = JSON.parse(sessionStorage.getItem(KEPT) ?? 'null')
let refreshing
let onEnd = () => {}

export const isSignedIn = () => session !== null
export const username = () => session?.username
/** The id of the account that is signed in. */
export const subject = () => JSON.parse(atob(session.access.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'))).sub
export const whenEnded = (listener) => {
  onEnd = listener
}

/** An answer that is not a success, in words for a person. */
export class Refused extends Error {
  constructor(status, body, challenge = '') {
    super(sentence(body?.error_description ?? `the service answered ${status}: try again`))
    this.status = status
    this.code = body?.error
    this.body = body
    this.challenge = challenge
  }
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`

async function send(path, { method = 'GET', json, bearer } = {}) {
  const headers = {
    ...(json && { 'content-type': 'application/json' }),
    ...(bearer && { authorization: `Bearer ${bearer}` }),
  }
  // `omit`: a browser answers the Basic challenge of /admin, which every expired token gets, by its own login prompt.
  const init = { method, headers, body: json && JSON.stringify(json), credentials: 'omit' }
  const answer = await fetch(new URL(path, BASE), init).catch(() => {
    throw new Refused(0, { error_description: 'the service does not answer: try again' })
  })
  const body = answer.status === 204 ? undefined : await answer.json().catch(() => undefined)
  if (!answer.ok) throw new Refused(answer.status, body, answer.headers.get('www-authenticate') ?? '')
  return body
}

export const post = (path, json, bearer) => send(path, { method: 'POST', json, bearer })

/** What a sign-in asks for: a session that administrates. */
export async function demand() {
  const { issuer } = await send('.well-known/oauth-authorization-server')
  return { scope: 'admin', audience: issuer, device_name: 'Console' }
}

export function keep(tokens, name = session?.username) {
  session = { access: tokens.access_token, refresh: tokens.refresh_token, username: name }
  sessionStorage.setItem(KEPT, JSON.stringify(session))
}

export function forget() {
  session = null
  sessionStorage.removeItem(KEPT)
}

export async function signOut() {
  const { access } = session
  try {
    await send('logout', { method: 'POST', bearer: access })
  } finally {
    forget()
  }
}

/** Calls the admin API. Refreshes an expired token, and answers a challenge for another proof (RFC 9470). */
export async function admin(path, { method, json } = {}) {
  for (let attempt = 0; ; attempt += 1) {
    const used = session?.access
    try {
      return await send(`admin/${path}`, { method, json, bearer: used })
    } catch (error) {
      if (error.code === 'insufficient_user_authentication' && attempt < 3) {
        if (!(await stepUp(/acr_values="2"/.test(error.challenge)))) throw error
      } else if (error.status === 401 && attempt === 0) {
        await refresh(used)
      } else {
        if (error.status === 401) end()
        throw error
      }
    }
  }
}

/** One refresh for all calls that wait for it. */
function refresh(used) {
  if (session && session.access !== used) return Promise.resolve()
  refreshing ??= post('refresh', { refresh_token: session?.refresh })
    .then((tokens) => keep(tokens))
    .catch((error) => {
      if (error.status === 400) end()
      throw error
    })
    .finally(() => {
      refreshing = undefined
    })
  return refreshing
}

function end() {
  forget()
  onEnd('Your session has ended. Sign in again.')
}

/**
 * Asks the person to prove again who they are. Returns whether they did. An account with a second factor proves the factor: its
 * passkey, a code of its app, or a recovery code.
 */
async function stepUp(needsFactor) {
  const bearer = session.access
  const options = () => post('login/passkey/options', {}, bearer)
  const hasPasskey = needsFactor && canUsePasskeys && (await options()).allowCredentials?.length > 0
  const prove = async (json) => {
    try {
      keep(await post('login/step-up', json, bearer))
    } catch (error) {
      // The session ended while the dialog was open.
      if (error.code === 'invalid_token') end()
      throw error
    }
  }
  const values = await ask({
    title: 'Is it you?',
    text: needsFactor ? 'This needs your second factor.' : 'Your sign-in is more than an hour old.',
    fields: [
      needsFactor
        ? { label: 'Code of your app, or a recovery code', name: 'code', autocomplete: 'one-time-code', required: true }
        : { label: 'Password', name: 'password', type: 'password', autocomplete: 'current-password', required: true },
    ],
    action: 'Continue',
    other: hasPasskey && {
      text: 'Use your passkey',
      act: async () => prove({ passkey: await provePasskey(await options()) }),
    },
    send: (values) => prove(needsFactor ? codeOf(values.code) : values),
  })
  return values !== undefined
}

/** Six digits are the code of an app. Everything else is a recovery code. */
export const codeOf = (code) => {
  const digits = code.replace(/\s/g, '')
  return /^\d{6}$/.test(digits) ? { totp: digits } : { recovery_code: code }
}
