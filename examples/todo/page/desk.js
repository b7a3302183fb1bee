// The desk: the todos, and the devices that are signed in.

import { call, forget, oneTabAtATime, signedIn, signOut } from './session.js'
import { $, ago, busily, fromTemplate, mention, reconcile } from './view.js'

// ---- Todos

export const todos = { list: undefined, etag: '', changes: 0 }

export async function loadTodos() {
  const { changes } = todos
  const sid = signedIn()?.sid
  const response = await call('/todos', { headers: todos.etag ? { 'if-none-match': todos.etag } : {} })
  if (response.status === 304) return
  const { todos: list } = await response.json()
  // The answer is stale: it was requested before a change in this tab, or for an earlier view.
  if (changes !== todos.changes || sid !== signedIn()?.sid) return
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

export function drawTodos() {
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

// ---- Devices

export const devices = { list: undefined, readAt: 0 }

export async function loadDevices() {
  devices.readAt = Date.now()
  const sid = signedIn()?.sid
  const { sessions } = await (await call('/auth/sessions')).json()
  if (sid !== signedIn()?.sid) return
  // This device first, then the newest. The order of last use would change all the time.
  devices.list = sessions.sort((a, b) => Number(b.current) - Number(a.current) || b.created_at - a.created_at)
  drawDevices()
}

export function drawDevices() {
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

$('end-others').addEventListener('click', () =>
  busily($('end-others'), async () => {
    await call('/auth/sessions?except=current', { method: 'DELETE' })
    await loadDevices()
    $('devices-title').focus()
    mention('Your other devices are signed out.')
  }),
)
$('end-all').addEventListener('click', () =>
  busily($('end-all'), async () => {
    // The todo service demands a recent sign-in here, and `call` asks for it.
    await call('/auth/logout-all', { method: 'POST' })
    await oneTabAtATime(() => forget('everywhere'))
  }),
)
$('sign-out').addEventListener('click', () => busily($('sign-out'), () => signOut('/auth/logout', 'here')))
