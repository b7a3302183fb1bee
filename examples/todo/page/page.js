// The whole page: its tokens, its calls, and its two views (welcome: sign in; desk: todos and devices).

/** The audience that this page's todo service wants in `aud`. */
const AUDIENCE = 'todo'
/** Milliseconds between two looks at the list. */
const LOOK_EVERY = 500
const LOOK_AT_DEVICES_EVERY = 2000
const TIMEOUT = 10_000

// ---------------------------------------------------------------------------------------------------------- Tokens
//
// Both tokens are kept in localStorage, in one entry. The refresh token has to outlive the page, for people stay signed
// in until they sign out, and every tab has to use the same one: that leaves storage, or a cookie. To keep the access
// token in memory beside it would look careful and protect nothing, for who can read the entry has the stronger key.
//
// So all depends on no foreign script running here, and the page is built for that: its policy runs this origin's
// own files alone and talks to this origin alone, no string can become markup (trusted types), and what people wrote is
// only ever set as text. If a copy leaks all the same, it cannot go on beside the page: the refresh token works
// once, a late second use ends the session, and so does one click in "Your devices".
//
// A page that guards more than todos should keep the refresh token out of any script's reach: its own backend holds it,
// or sets it as an HttpOnly, Secure, SameSite=Strict cookie on /auth/refresh.

const KEY = 'latchkey-todo'
/** Tells this tab from the others, in words alone: it guards nothing. */
const TAB = String(Math.random())

function entry() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {}
  } catch {
    return {}
  }
}

/** The session that this browser is signed in with, or undefined. Read anew each time: any tab may have changed it. */
function signedIn() {
  const session = entry()
  return session.refreshToken ? session : undefined
}

function keep(answer, more) {
  const session = {
    sid: answer.sid,
    accessToken: answer.access_token,
    refreshToken: answer.refresh_token,
    // By this device's own clock: it need not agree with the server's.
    expiresAt: Date.now() + answer.expires_in * 1000,
    lifetime: answer.expires_in * 1000,
    ...more,
  }
  localStorage.setItem(KEY, JSON.stringify(session))
  show()
  return session
}

function forget(goodbye) {
  localStorage.setItem(KEY, JSON.stringify({ goodbye }))
  show()
}

/**
 * Runs `work` while no other tab of this browser runs theirs. Where the browser has no locks (an origin without https),
 * it runs at once: tabs that then refresh at the same time are all given the same next token, so none loses.
 */
const oneTabAtATime = (work) => (navigator.locks ? navigator.locks.request(KEY, work) : work())

/**
 * What a tab has stored may reach another a moment later than the lock does: this waits for it, for a moment. Should it
 * take longer on a busy machine, two tabs present the same refresh token, and are given the same next one.
 */
const newsFromOtherTabs = () =>
  new Promise((resolve) => {
    addEventListener('storage', resolve, { once: true, signal: AbortSignal.timeout(100) })
    setTimeout(resolve, 100)
  })

/** A session whose access token is another than `stale`. However many callers and tabs want it, one refreshes. */
function renew(stale) {
  return oneTabAtATime(async () => {
    if (signedIn()?.accessToken === stale) await newsFromOtherTabs()
    const session = signedIn()
    if (!session) throw new SignedOut()
    // While we waited, another has done it.
    if (session.accessToken !== stale) return session

    const response = await request('/auth/refresh', { method: 'POST', json: { refresh_token: session.refreshToken } })
    const answer = await read(response)
    // These two only without locks. Somebody has signed out or in meanwhile: the answer is of no use any more. Or another
    // tab was faster: what it has kept may be newer than our answer, and an old token, kept, would end the session later.
    const current = signedIn()
    if (current?.sid !== session.sid) throw new SignedOut()
    if (current.refreshToken !== session.refreshToken) return current
    if (response.ok) {
      return keep(answer, { username: session.username, renewals: session.renewals + 1, renewedBy: TAB })
    }
    // The one answer that means that the session is over. After any other we may ask again: within REFRESH_GRACE, 30 seconds,
    // nobody is signed out because a server was restarting.
    if (answer.error === 'invalid_grant') {
      forget('elsewhere')
      throw new SignedOut()
    }
    throw refused(response, answer)
  })
}

/** Signs out by `path`, in the way of no refresh: none can put tokens back once they are forgotten. */
function signOut(path, goodbye) {
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

class SignedOut extends Error {}
/** No answer, or none for now. Asking again may help. */
class Unreachable extends Error {}
/** An answer, and it is no. The message is for people. */
class Refused extends Error {}

function refused(response, { error_description: description = '' } = {}) {
  if (response.status === 429) {
    return new Refused(`Too many attempts. Wait ${response.headers.get('retry-after') ?? 60} seconds, then try again.`)
  }
  if (response.status >= 500) return new Unreachable('The service cannot answer just now. Try again in a moment.')
  return new Refused(
    description ? `${description.charAt(0).toUpperCase()}${description.slice(1)}.` : 'That was refused.',
  )
}

/** What the services answer is JSON; what a proxy between answers for them may be anything. */
const read = (response) => response.json().catch(() => ({}))

async function request(path, { method = 'GET', json, headers = {} } = {}) {
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

/** A call as the person who is signed in. Renews the access token where it has to, and then asks once more. */
async function call(path, options = {}) {
  const send = ({ accessToken }) =>
    request(path, { ...options, headers: { ...options.headers, authorization: `Bearer ${accessToken}` } })
  let session = signedIn()
  if (!session) throw new SignedOut()
  if (session.expiresAt <= Date.now()) session = await renew(session.accessToken)
  let response = await send(session)
  if (response.status === 401) {
    session = await renew(session.accessToken)
    response = await send(session)
  }
  if (!response.ok && response.status !== 304) throw refused(response, await read(response))
  return response
}

// ------------------------------------------------------------------------------------------------------- The views

const $ = (id) => document.getElementById(id)

const GOODBYES = {
  here: 'You are signed out.',
  everywhere: 'You are signed out on all of your devices.',
  elsewhere: 'This device was signed out: from another of your devices, or because it was not used for too long.',
}

/** The session whose view is up: undefined for the welcome, null before the first. */
let shown = null

/** Brings up the view for what is stored. Called whenever that may have changed, in this tab or another. */
function show() {
  const session = signedIn()
  if (session?.sid === shown) return
  const isFirst = shown === null
  shown = session?.sid
  todos.list = devices.list = undefined
  todos.etag = ''
  devices.readAt = 0
  for (const list of [$('todos'), $('devices')]) list.replaceChildren()
  drawTodos()
  drawDevices()

  $('welcome').hidden = Boolean(session)
  $('desk').hidden = $('person').hidden = !session
  $('username').textContent = session?.username ?? ''
  say('alert', '')
  say('notice', session ? '' : (GOODBYES[entry().goodbye] ?? ''))
  if (session) {
    // Not when the page opens: on a phone the keyboard would cover it.
    if (!isFirst) $('new-todo').focus()
    tick()
    wake()
  } else {
    $('credentials').reset()
    mode('sign-in')
    $('name').focus()
  }
}

function say(id, text) {
  $(id).textContent = text
  $(id).hidden = !text
}

/** Says what has been done, for a while. */
function mention(text) {
  say('notice', text)
  setTimeout(() => $('notice').textContent === text && say('notice', ''), 6000)
}

/** Does `work` for a button or box, once at a time, and says in words what went wrong. */
async function busily(control, work, alert = 'alert') {
  if (control.ariaBusy === 'true') return
  // Not `disabled`, which would throw the keyboard's focus away.
  control.ariaBusy = 'true'
  say(alert, '')
  try {
    await work()
  } catch (error) {
    // Whoever was signed out is told by the view.
    if (!(error instanceof SignedOut)) say(alert, error.message)
  } finally {
    control.ariaBusy = null
  }
}

/** Makes the children of `list` one for each item, and keeps those that are there: focus and what is being typed stay. */
function reconcile(list, items, keyOf, create, update) {
  const keys = new Set(items.map(keyOf))
  // First those that go: to move a child, even to where it was, takes the focus from it.
  for (const child of [...list.children]) if (!keys.has(child.dataset.key)) child.remove()
  const existing = new Map([...list.children].map((child) => [child.dataset.key, child]))
  for (const [index, item] of items.entries()) {
    const key = keyOf(item)
    const child = existing.get(key) ?? create(item)
    child.dataset.key = key
    update(child, item)
    if (list.children[index] !== child) list.insertBefore(child, list.children[index] ?? null)
  }
}

const fromTemplate = (id) => $(id).content.firstElementChild.cloneNode(true)

// ---- Welcome

let isNew = false

function mode(name) {
  isNew = name === 'sign-up'
  const title = isNew ? 'Create an account' : 'Sign in'
  $('welcome-title').textContent = $('submit').textContent = title
  $('switch-text').textContent = isNew ? 'Have one already?' : 'New here?'
  $('switch').textContent = isNew ? 'Sign in' : 'Create an account'
  $('password').autocomplete = isNew ? 'new-password' : 'current-password'
  $('password-hint').hidden = !isNew
  if (isNew) $('password').setAttribute('aria-describedby', 'password-hint')
  else $('password').removeAttribute('aria-describedby')
  reveal(false)
  say('credentials-alert', '')
}

function reveal(isPlain) {
  $('password').type = isPlain ? 'text' : 'password'
  $('reveal').textContent = isPlain ? 'Hide' : 'Show'
  $('reveal').ariaPressed = String(isPlain)
}

async function enter() {
  const username = $('name').value.trim()
  const password = $('password').value
  if (!username || !password) {
    $(username ? 'password' : 'name').focus()
    throw new Refused(username ? 'Enter your password.' : 'Enter a user name.')
  }
  if (isNew) {
    const response = await request('/auth/users', { method: 'POST', json: { username, password } })
    if (!response.ok) throw refused(response, await read(response))
    // From here on the account is there: should signing in fail, that is what to try again.
    mode('sign-in')
  }
  const response = await request('/auth/login', {
    method: 'POST',
    json: { username, password, audience: AUDIENCE, device_name: deviceName() },
  })
  const answer = await read(response)
  if (response.status === 401) throw new Refused('The user name or the password is not right.')
  if (!response.ok) throw refused(response, answer)
  keep(answer, { username, renewals: 0, renewedBy: TAB })
}

/** What this device is called in the list of devices. */
function deviceName() {
  const find = (names) => names.find(([pattern]) => pattern.test(navigator.userAgent))?.[1]
  const browser = find([
    [/Edg\//, 'Edge'],
    [/OPR\//, 'Opera'],
    [/Firefox\/|FxiOS\//, 'Firefox'],
    [/Chrom(e|ium)\/|CriOS\//, 'Chrome'],
    [/Safari\//, 'Safari'],
  ])
  const system = find([
    [/Android/, 'Android'],
    [/iPhone/, 'iPhone'],
    [/iPad/, 'iPad'],
    [/Windows/, 'Windows'],
    [/Mac OS X/, 'Mac'],
    [/CrOS/, 'ChromeOS'],
    [/Linux/, 'Linux'],
  ])
  return `${browser ?? 'A browser'} on ${system ?? 'some device'}`
}

$('credentials').addEventListener('submit', (event) => {
  event.preventDefault()
  busily($('submit'), enter, 'credentials-alert')
})
$('switch').addEventListener('click', () => {
  mode(isNew ? 'sign-in' : 'sign-up')
  $('name').focus()
})
$('reveal').addEventListener('click', () => reveal($('password').type === 'password'))

// ---- Todos

const todos = { list: undefined, etag: '', changes: 0 }

async function loadTodos() {
  const { changes } = todos
  const sid = shown
  const response = await call('/todos', { headers: todos.etag ? { 'if-none-match': todos.etag } : {} })
  if (response.status === 304) return
  const { todos: list } = await response.json()
  // Asked before a change of ours, or for a view that is gone: an older truth than the one on the screen.
  if (changes !== todos.changes || sid !== shown) return
  todos.etag = response.headers.get('etag')
  todos.list = list
  drawTodos()
}

async function change(path, options, apply) {
  todos.changes += 1
  todos.etag = ''
  try {
    const response = await call(path, options)
    apply(response.status === 204 ? undefined : await response.json())
  } finally {
    todos.changes += 1
    // Also after a failure: a box that was ticked in vain goes back.
    drawTodos()
  }
}

function drawTodos() {
  const list = todos.list ?? []
  $('todos-loading').hidden = Boolean(todos.list)
  $('todos-empty').hidden = !todos.list || list.length > 0
  const done = list.filter((todo) => todo.done).length
  $('count').textContent = list.length > 0 ? `${done} of ${list.length} done` : ''
  reconcile($('todos'), list, ({ id }) => id, createTodo, updateTodo)
}

function createTodo({ id }) {
  const item = fromTemplate('todo-template')
  const [box, editor, field] = ['[type=checkbox]', '.editor', '.edit-text'].map((name) => item.querySelector(name))
  const find = () => todos.list.find((todo) => todo.id === id)
  const replace = (changed) => {
    todos.list = todos.list.map((todo) => (todo.id === id ? changed : todo))
  }

  box.addEventListener('change', () =>
    busily(box, () => change(`/todos/${id}`, { method: 'PATCH', json: { done: box.checked } }, replace)),
  )

  const edit = (isEditing) => {
    editor.hidden = !isEditing
    item.querySelector('.tick').hidden = item.querySelector('.todo-actions').hidden = isEditing
    if (isEditing) {
      field.value = find().text
      field.select()
    } else {
      item.querySelector('.edit').focus()
    }
  }
  item.querySelector('.edit').addEventListener('click', () => edit(true))
  field.addEventListener('keydown', ({ key }) => key === 'Escape' && edit(false))
  editor.addEventListener('submit', (event) => {
    event.preventDefault()
    const text = field.value.trim()
    if (!text || text === find().text) return edit(false)
    busily(editor.querySelector('button'), async () => {
      await change(`/todos/${id}`, { method: 'PATCH', json: { text } }, replace)
      edit(false)
    })
  })

  const remove = item.querySelector('.remove')
  remove.addEventListener('click', () =>
    busily(remove, () =>
      change(`/todos/${id}`, { method: 'DELETE' }, () => {
        const neighbour = item.nextElementSibling ?? item.previousElementSibling
        ;(neighbour?.querySelector('[type=checkbox]') ?? $('new-todo')).focus()
        todos.list = todos.list.filter((todo) => todo.id !== id)
      }),
    ),
  )
  return item
}

function updateTodo(item, { text, done }) {
  // As text, whatever it looks like.
  item.querySelector('.text').textContent = text
  item.querySelector('[type=checkbox]').checked = done
  item.classList.toggle('done', done)
  item.querySelector('.edit').ariaLabel = `Edit: ${text}`
  item.querySelector('.remove').ariaLabel = `Delete: ${text}`
}

$('adder').addEventListener('submit', (event) => {
  event.preventDefault()
  const text = $('new-todo').value.trim()
  $('new-todo').focus()
  if (!text) return
  busily($('add'), () =>
    change('/todos', { method: 'POST', json: { text } }, (added) => {
      $('new-todo').value = ''
      todos.list = [added, ...(todos.list ?? [])]
    }),
  )
})

// ---- Devices

const devices = { list: undefined, readAt: 0 }

async function loadDevices() {
  devices.readAt = Date.now()
  const sid = shown
  const { sessions } = await (await call('/auth/sessions')).json()
  if (sid !== shown) return
  // This device first, then the newest: by last use, as they come, they would change places all the time.
  devices.list = sessions.sort((a, b) => Number(b.current) - Number(a.current) || b.created_at - a.created_at)
  drawDevices()
}

function drawDevices() {
  const list = devices.list ?? []
  $('devices-loading').hidden = Boolean(devices.list)
  $('devices-empty').hidden = list.length !== 1
  $('end-others').hidden = list.length < 2
  $('device-count').textContent = list.length > 1 ? `${list.length} signed in` : ''
  reconcile($('devices'), list, ({ sid }) => sid, createDevice, updateDevice)
}

function createDevice({ sid, current, device_name: name }) {
  const item = fromTemplate('device-template')
  const label = name ?? 'A device without a name'
  item.querySelector('.device-name').textContent = label
  item.querySelector('use').setAttribute('href', /Android|iPhone|iPad/.test(label) ? '#icon-phone' : '#icon-computer')
  item.querySelector('.badge').hidden = !current
  const end = item.querySelector('.end')
  end.ariaLabel = current ? 'Sign out this device' : `Sign out: ${label}`
  end.addEventListener('click', () =>
    busily(end, async () => {
      if (current) return signOut('/auth/logout', 'here')
      await call(`/auth/sessions/${sid}`, { method: 'DELETE' })
      $('devices-title').focus()
      await loadDevices()
      mention(`${label} is signed out.`)
    }),
  )
  return item
}

function updateDevice(item, { current, last_seen_at: lastSeen, ip }) {
  item.querySelector('.seen').hidden = current
  item.querySelector('.seen-ago').textContent = ago(Date.now() / 1000 - lastSeen)
  item.querySelector('.address').textContent = ip
}

const inWords = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })

function ago(seconds) {
  if (seconds < 60) return 'just now'
  if (seconds < 3600) return inWords.format(-Math.floor(seconds / 60), 'minute')
  if (seconds < 86_400) return inWords.format(-Math.floor(seconds / 3600), 'hour')
  return inWords.format(-Math.floor(seconds / 86_400), 'day')
}

$('end-others').addEventListener('click', () =>
  busily($('end-others'), async () => {
    await call('/auth/sessions?except=current', { method: 'DELETE' })
    await loadDevices()
    $('devices-title').focus()
    mention('Your other devices are signed out.')
  }),
)
$('end-all').addEventListener('click', () => busily($('end-all'), () => signOut('/auth/logout-all', 'everywhere')))
$('sign-out').addEventListener('click', () => busily($('sign-out'), () => signOut('/auth/logout', 'here')))

// ---- The access token's life

let renewing = false

/** Draws what is left of the access token, and renews it in time, so that no call has to wait for that. */
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

  // A hidden page has time: it renews when it is looked at again.
  if (renewing || document.hidden || left > Math.min(30_000, session.lifetime / 4)) return
  renewing = true
  try {
    await renew(session.accessToken)
  } catch {
    // Signed out: the view says so. Out of reach: the next look says so, and we try again after a pause.
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
  renewing = false
}

// ---- Looking

let wake = () => {}

/**
 * Asks for the list, again and again, while the page is looked at. Nothing needs this to be safe: a device that was ended
 * is refused whatever it asks for, at once. It is there so that the page *says* so within a second, and shows what
 * was written down on another device; an unchanged list costs an empty 304.
 *
 * It asks, instead of holding a stream of events open, because the answer is a check of the token in any case, by this
 * page or by the server on its behalf; because a short request survives sleep, proxies and restarts with no rule of its
 * own; and because HTTP/1.1 gives a browser six connections to an origin: the seventh tab with a stream would hang.
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
    if (!shown || document.hidden) continue
    try {
      await loadTodos()
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
setInterval(tick, 250)
show()
look()
