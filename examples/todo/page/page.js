// The page has two views. `welcome` is the sign-in, `desk` has the todos, the devices and the factors.

import { devices, drawDevices, drawTodos, loadDevices, loadTodos, todos } from './desk.js'
import { drawFactors, factors, loadFactors } from './factors.js'
import { changes, entry, forget, KEY, renew, SignedOut, signedIn, TAB, Unreachable } from './session.js'
import { $, say } from './view.js'
import { mode, readRecoveryLink } from './welcome.js'

/** Milliseconds between two requests for the list. */
const LOOK_EVERY = 500
const LOOK_AT_DEVICES_EVERY = 2000

const GOODBYES = {
  here: 'You are signed out.',
  everywhere: 'You are signed out on all of your devices.',
  elsewhere: 'This device was signed out: from another of your devices, or because it was not used for too long.',
  recovered: 'Your new password is set, and every device is signed out. Sign in with it.',
}

/**
 * The session of the visible view. Undefined for the sign-in, `reset` for a new password after a mail, null before the first
 * view.
 */
let shown = null
/** Of the last call of `show`. */
let goodbye = ''

/** Shows the view for the stored session. Called whenever the entry may have changed, in this tab or another. */
function show() {
  const isReset = readRecoveryLink()
  const session = isReset ? undefined : signedIn()
  const view = isReset ? 'reset' : session?.sid
  const before = goodbye
  goodbye = view === undefined ? (GOODBYES[entry().goodbye] ?? '') : ''
  // The sign-in may be shown already: a request may find that the session has ended before this browser stores why.
  if (view !== shown || goodbye !== before) say('notice', goodbye)
  if (view === shown) return
  const isFirst = shown === null
  shown = view
  // A dialog belongs to the session that opened it.
  for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close()
  todos.list = devices.list = factors.list = undefined
  todos.etag = ''
  devices.readAt = 0
  for (const list of [$('todos'), $('devices'), $('factors')]) list.replaceChildren()
  drawTodos()
  drawDevices()
  drawFactors()

  $('welcome').hidden = Boolean(session)
  $('desk').hidden = $('person').hidden = !session
  $('username').textContent = session?.username ?? ''
  say('alert', '')
  if (session) {
    // Not when the page opens, because the keyboard of a phone would cover the page.
    if (!isFirst) $('new-todo').focus()
    tick()
    wake()
  } else {
    $('credentials').reset()
    mode(isReset ? 'reset' : 'sign-in')
    $(isReset ? 'new-password' : 'name').focus()
  }
}

// ---- The lifetime of the access token

let renewing = false

/** Shows the rest of the access token's lifetime, and refreshes before it ends, so that no call waits for a refresh. */
async function tick() {
  const session = signedIn()
  if (!session) return
  const left = Math.max(0, session.expiresAt - Date.now())
  $('life').max = session.lifetime
  $('life').value = left
  const seconds = Math.ceil(left / 1000)
  $('life-left').textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} left`
  const times = session.renewals === 1 ? 'once' : `${session.renewals} times`
  const by = session.renewedBy === TAB ? 'this tab' : 'another tab'
  $('life-note').textContent = session.renewals
    ? `Renewed silently ${times}, last by ${by}.`
    : 'Renews itself before it ends. You will not notice.'

  // A hidden page refreshes when it becomes visible again.
  if (renewing || document.hidden || left > Math.min(30_000, session.lifetime / 4)) return
  renewing = true
  try {
    await renew(session.accessToken)
  } catch {
    // After a sign-out the view says so. Without a connection the next request for the list says so, and this retries later.
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
  renewing = false
}

// ---- Updates of the list

let wake = () => {}

/**
 * Requests the list again and again while the page is visible. Security does not depend on this, because every call of an
 * ended device is refused at once. But so the page *shows* the end within a second, and the todos of other devices. An
 * unchanged list costs an empty 304.
 *
 * The page polls, and holds no event stream open, for three reasons. Each answer checks the token anyway. A short request
 * survives sleep, proxies and restarts without extra rules. And HTTP/1.1 gives a browser six connections to an origin, so the
 * seventh tab with a stream would hang.
 */
async function look() {
  let delay = LOOK_EVERY
  for (;;) {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, delay)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    if (!shown || shown === 'reset' || document.hidden) continue
    try {
      await loadTodos()
      if (!factors.list) await loadFactors()
      if (Date.now() - devices.readAt >= LOOK_AT_DEVICES_EVERY) await loadDevices()
      if (delay !== LOOK_EVERY) say('notice', '')
      delay = LOOK_EVERY
    } catch (error) {
      if (error instanceof SignedOut) continue
      if (!(error instanceof Unreachable)) say('alert', error.message)
      else say('notice', 'The server cannot be reached. You stay signed in; trying again…')
      delay = Math.min(5000, delay * 2)
    }
  }
}

addEventListener('storage', ({ key }) => (key === KEY || key === null) && show())
document.addEventListener('visibilitychange', () => wake())
addEventListener('online', () => wake())
changes.addEventListener('change', show)
addEventListener('hashchange', show)
addEventListener('recovered', () => forget('recovered'))
setInterval(tick, 250)
show()
look()
