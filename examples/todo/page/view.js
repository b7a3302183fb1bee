// What the views share.

import { Cancelled, SignedOut } from './session.js'

export const $ = (id) => document.getElementById(id)

export function say(id, text) {
  $(id).textContent = text
  $(id).hidden = !text
}

/** Shows what was done, for six seconds. */
export function mention(text) {
  say('notice', text)
  setTimeout(() => $('notice').textContent === text && say('notice', ''), 6000)
}

/** Runs `work` for a button or box, once at a time, and shows an error as text. */
export async function busily(control, work, alert = 'alert') {
  if (control.ariaBusy === 'true') return
  // Not `disabled`, which would remove the keyboard focus.
  control.ariaBusy = 'true'
  say(alert, '')
  try {
    await work()
  } catch (error) {
    // After a sign-out the welcome view says so.
    if (!(error instanceof SignedOut || error instanceof Cancelled)) say(alert, error.message)
  } finally {
    control.ariaBusy = null
  }
}

/** Gives `list` one child for each item. Existing children stay, so that focus and typed text stay. */
export function reconcile(list, items, keyOf, create, update) {
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

export const fromTemplate = (id) => $(id).content.firstElementChild.cloneNode(true)

const inWords = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })

export function ago(seconds) {
  if (seconds < 60) return 'just now'
  if (seconds < 3600) return inWords.format(-Math.floor(seconds / 60), 'minute')
  if (seconds < 86_400) return inWords.format(-Math.floor(seconds / 3600), 'hour')
  return inWords.format(-Math.floor(seconds / 86_400), 'day')
}

/** The button with the class `cancel` closes a dialog, as Escape does. */
export function closeOnCancel(dialog) {
  dialog.querySelector('.cancel').addEventListener('click', () => dialog.close())
}
