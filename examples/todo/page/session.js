// The session of this browser: where its tokens are stored and why, one refresh for all tabs, and calls with an access token.
// The file knows nothing of the views. Copy it for your own page.

const TIMEOUT = 10_000
/** Dispatches `change` when this tab stored or deleted the session. */
export const changes = new EventTarget()

// ---------------------------------------------------------------------------------------------------------- Tokens
//
// Both tokens are in localStorage, in one entry. The refresh token must outlive the page, because people stay signed in
// until they sign out. Every tab must use the same token. Only storage or a cookie can do both. An access token in memory
// would protect nothing, because a script that reads the entry has the refresh token.
//
// So no foreign script may run here. The content security policy runs only files of this origin, and connects only to
// this origin. No string becomes markup (trusted types), and the page shows what people wrote only as text. If a copy
// leaks, its use ends: the refresh token works once, and a late second use ends the session. So does one click in "Your
// devices".
//
// A page that guards more than todos should keep the refresh token away from every script. Its own backend holds the
// token, or sets it as an HttpOnly, Secure, SameSite=Strict cookie on /auth/refresh.

export const KEY = 'latchkey-todo'
/** Tells this tab from the others, to choose the message after a sign-out. It protects nothing. */
export const TAB = String(Math.random())

export function entry() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {}
  } catch {
    return {}
  }
}

/** The session of this browser, or undefined. It is read each time, because another tab may have changed it. */
export function signedIn() {
  const session = entry()
  return session.refreshToken ? session : undefined
}

export function keep(answer, more) {
  const session = {
    sid: answer.sid,
    accessToken: answer.access_token,
    refreshToken: answer.refresh_token,
    // By this device's clock, which may differ from the server's.
    expiresAt: Date.now() + answer.expires_in * 1000,
    lifetime: answer.expires_in * 1000,
    ...more,
  }
  localStorage.setItem(KEY, JSON.stringify(session))
  changes.dispatchEvent(new Event('change'))
  return session
}

export function forget(goodbye) {
  localStorage.setItem(KEY, JSON.stringify({ goodbye }))
  changes.dispatchEvent(new Event('change'))
}

/**
 * Runs `work` in one tab of this browser at a time. Without locks (an origin without https) it runs at once. Tabs that then
 * refresh at the same time all get the same successor, so none is signed out.
 */
export const oneTabAtATime = (work) => (navigator.locks ? navigator.locks.request(KEY, work) : work())

/**
 * Waits for a moment, because the lock may reach a tab before the entry that another tab stored. If the entry takes longer, two
 * tabs present the same refresh token, and get the same successor.
 */
const newsFromOtherTabs = () =>
  new Promise((resolve) => {
    addEventListener('storage', resolve, { once: true, signal: AbortSignal.timeout(100) })
    setTimeout(resolve, 100)
  })

/** Returns a session whose access token is not `stale`. Of all callers and tabs, only one refreshes. */
export function renew(stale) {
  return oneTabAtATime(async () => {
    if (signedIn()?.accessToken === stale) await newsFromOtherTabs()
    const session = signedIn()
    if (!session) throw new SignedOut()
    // Another caller refreshed while this one waited.
    if (session.accessToken !== stale) return session

    const response = await request('/auth/refresh', { method: 'POST', json: { refresh_token: session.refreshToken } })
    const answer = await read(response)
    // These two happen only without locks. After a sign-out or a sign-in in another tab, the answer is stale. If another tab was
    // faster, its entry may be newer than this answer. An old refresh token in the entry would end the session later.
    const current = signedIn()
    if (current?.sid !== session.sid) throw new SignedOut()
    if (current.refreshToken !== session.refreshToken) return current
    if (response.ok) {
      return keep(answer, { username: session.username, renewals: session.renewals + 1, renewedBy: TAB })
    }
    // Only this answer means that the session has ended. After any other answer the page may retry within REFRESH_GRACE (30
    // seconds), so a restart of the server signs nobody out.
    if (answer.error === 'invalid_grant') {
      forget('elsewhere')
      throw new SignedOut()
    }
    throw refused(response, answer)
  })
}

/** The session of this browser, with an access token that has not expired. */
export async function renewIfExpired() {
  const session = signedIn()
  if (!session) throw new SignedOut()
  return session.expiresAt <= Date.now() ? renew(session.accessToken) : session
}

/** Signs out with `path`, under the lock of a refresh. So no refresh can store tokens after the entry is deleted. */
export function signOut(path, goodbye) {
  return oneTabAtATime(async () => {
    const session = signedIn()
    if (!session) return
    const response = await request(path, { method: 'POST', json: { token: session.refreshToken } })
    if (response.ok) forget(goodbye)
    else if (response.status === 401) forget('elsewhere')
    else throw refused(response, await read(response))
  })
}

// ----------------------------------------------------------------------------------------------------------- Calls

export class SignedOut extends Error {}
/** There is no answer, or a 503. A retry may help. */
export class Unreachable extends Error {}
/** The service refused the call. The message is for people. */
export class Refused extends Error {}
/** The person closed a dialog. There is nothing to say about that. */
export class Cancelled extends Error {}

export function refused(response, { error_description: description = '' } = {}) {
  if (response.status === 429) {
    return new Refused(`Too many attempts. Wait ${response.headers.get('retry-after') ?? 60} seconds, then try again.`)
  }
  if (response.status >= 500) return new Unreachable('The service cannot answer just now. Try again in a moment.')
  return new Refused(
    description ? `${description.charAt(0).toUpperCase()}${description.slice(1)}.` : 'That was refused.',
  )
}

/** The services answer JSON. A proxy in between may answer anything. */
export const read = (response) => response.json().catch(() => ({}))

export async function request(path, { method = 'GET', json, headers = {} } = {}) {
  try {
    return await fetch(path, {
      method,
      headers: { ...headers, ...(json && { 'content-type': 'application/json' }) },
      body: json ? JSON.stringify(json) : undefined,
      signal: AbortSignal.timeout(TIMEOUT),
    })
  } catch {
    throw new Unreachable('The server cannot be reached. Check your connection, and try again.')
  }
}

const demandsStepUp = ({ status, headers }) =>
  status === 401 && headers.get('www-authenticate')?.includes('insufficient_user_authentication')

/** Asks the person to prove again who they are, and returns the new session. The view sets it. */
let stepUp = () => Promise.reject(new Refused('Sign in again'))
export const onStepUp = (ask) => {
  stepUp = ask
}

/**
 * A call as the signed-in person. After a 401 it refreshes and retries once. If the service demands a fresh or a stronger sign-in
 * (RFC 9470), it asks the person, and retries with the new token.
 */
export async function call(path, options = {}) {
  const send = ({ accessToken }) =>
    request(path, { ...options, headers: { ...options.headers, authorization: `Bearer ${accessToken}` } })
  let session = await renewIfExpired()
  let response = await send(session)
  if (response.status === 401 && !demandsStepUp(response)) {
    session = await renew(session.accessToken)
    response = await send(session)
  }
  if (demandsStepUp(response)) {
    session = await stepUp()
    response = await send(session)
  }
  if (!response.ok && response.status !== 304) throw refused(response, await read(response))
  return response
}
