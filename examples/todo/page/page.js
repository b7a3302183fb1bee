// The whole page: its tokens, its calls, and its two views. `welcome` is the sign-in, `desk` has the todos and the devices.

/** The audience of the todo service. */
const AUDIENCE = 'todo'
/** Milliseconds between two requests for the list. */
const LOOK_EVERY = 500
const LOOK_AT_DEVICES_EVERY = 2000
const TIMEOUT = 10_000

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

const KEY = 'latchkey-todo'
/** Tells this tab from the others, to choose the message after a sign-out. It protects nothing. */
const TAB = String(Math.random())

function entry() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {}
  } catch {
    return {}
  }
}

/** The session of this browser, or undefined. It is read each time, because another tab may have changed it. */
function signedIn() {
  const session = entry()
  return session.refreshToken ? session : undefined
}

function keep(answer, more) {
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
  show()
  return session
}

function forget(goodbye) {
  localStorage.setItem(KEY, JSON.stringify({ goodbye }))
  show()
}

/**
 * Runs `work` in one tab of this browser at a time. Without locks (an origin without https) it runs at once. Tabs that then
 * refresh at the same time all get the same successor, so none is signed out.
 */
const oneTabAtATime = (work) => (navigator.locks ? navigator.locks.request(KEY, work) : work())

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
function renew(stale) {
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

/** Signs out with `path`, under the lock of a refresh. So no refresh can store tokens after the entry is deleted. */
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
/** There is no answer, or a 503. A retry may help. */
class Unreachable extends Error {}
/** The service refused the call. The message is for people. */
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

/** The services answer JSON. A proxy in between may answer anything. */
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

/** A call as the signed-in person. After a 401 it refreshes and retries once. */
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

/** The session of the visible view: undefined for the welcome view, null before the first view. */
let shown = null

/** Shows the view for the stored session. Called whenever the entry may have changed, in this tab or another. */
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
    // Not when the page opens, because the keyboard of a phone would cover the page.
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

/** Shows what was done, for six seconds. */
function mention(text) {
  say('notice', text)
  setTimeout(() => $('notice').textContent === text && say('notice', ''), 6000)
}

/** Runs `work` for a button or box, once at a time, and shows an error as text. */
async function busily(control, work, alert = 'alert') {
  if (control.ariaBusy === 'true') return
  // Not `disabled`, which would remove the keyboard focus.
  control.ariaBusy = 'true'
  say(alert, '')
  try {
    await work()
  } catch (error) {
    // After a sign-out the welcome view says so.
    if (!(error instanceof SignedOut)) say(alert, error.message)
  } finally {
    control.ariaBusy = null
  }
}

/** Gives `list` one child for each item. Existing children stay, so that focus and typed text stay. */
function reconcile(list, items, keyOf, create, update) {
  const keys = new Set(items.map(keyOf))
  // Remove children first, because moving a child removes its focus.
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
    // The account exists now. If the sign-in fails, a retry must sign in and not sign up.
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

/** The name of this device in the list of devices. */
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
  // The answer is stale: it was requested before a change in this tab, or for an earlier view.
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
    // Also after a failure, so that a box shows its real state again.
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
  // Always as text, never as markup.
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
  // This device first, then the newest. The order of last use would change all the time.
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
