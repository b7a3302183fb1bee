// Builds the page from elements, never from markup: no text of an account can become a tag.

/** Creates an element. Attributes that are undefined or false are left out, and functions listen to events. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue
    if (typeof value === 'function') element.addEventListener(name, value)
    else element.setAttribute(name, value === true ? '' : String(value))
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false))
  return element
}

const SVG = 'http://www.w3.org/2000/svg'
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value))
  element.append(...children)
  return element
}

export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString('en')} ${count === 1 ? one : many}`

const UNITS = [
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
]

/** "3 hours", from seconds. */
export function span(seconds) {
  const past = Math.abs(seconds)
  for (const [length, name] of UNITS) if (past >= length) return plural(Math.floor(past / length), name)
  return 'a moment'
}

/** A time that reads "3 hours ago", and has the exact one for a pointer and a screen reader. */
export function ago(unixSeconds) {
  const date = new Date(unixSeconds * 1000)
  const text = `${span(Date.now() / 1000 - unixSeconds)} ago`
  return h('time', { datetime: date.toISOString(), title: date.toLocaleString('en') }, text)
}

export function button(text, act, { kind, label } = {}) {
  return h('button', { type: 'button', class: kind, click: act, 'aria-label': label }, text)
}

export const tag = (text, kind) => h('span', { class: kind ? `tag ${kind}` : 'tag' }, text)

export function heading(text, more) {
  return h('div', { class: 'heading' }, h('h1', {}, text), more)
}

export const empty = (text) => h('p', { class: 'empty' }, text)

let hide
/** Says what happened, for a screen reader too. */
export function say(text) {
  const toast = document.getElementById('toast')
  toast.textContent = text
  clearTimeout(hide)
  hide = setTimeout(() => {
    toast.textContent = ''
  }, 6000)
}

/** Opens a dialog with a form. Resolves with the values of its fields, or with undefined when it is cancelled. */
export function ask({ title, text, fields = [], action, kind, reject }) {
  return new Promise((resolve) => {
    const cancel = button('Cancel', () => dialog.close(), { kind: 'quiet' })
    const form = h(
      'form',
      {
        method: 'dialog',
        submit: (event) => {
          event.preventDefault()
          const values = Object.fromEntries(new FormData(form))
          dialog.close()
          resolve(values)
        },
      },
      h('h2', { id: 'dialog-title' }, title),
      text && h('p', { id: 'dialog-text' }, text),
      reject && h('p', { class: 'alert', role: 'alert' }, reject),
      fields.map(({ label, hint, ...input }) =>
        h('label', { class: 'field' }, h('span', {}, label), h('input', input), hint && h('small', {}, hint)),
      ),
      h('div', { class: 'actions' }, cancel, h('button', { type: 'submit', class: kind ?? 'primary' }, action)),
    )
    const dialog = h(
      'dialog',
      {
        'aria-labelledby': 'dialog-title',
        'aria-describedby': text && 'dialog-text',
        close: () => {
          dialog.remove()
          resolve(undefined)
        },
      },
      form,
    )
    document.body.append(dialog)
    dialog.showModal()
    // A careless Enter must not destroy.
    if (fields.length === 0) cancel.focus()
  })
}

/**
 * Asks, sends the answer, and asks again with the reason while it is refused. Returns whether it was accepted.
 *
 * @param isReason whether the person can do something about this error
 */
export async function askUntilAccepted(question, send, isReason) {
  let reject
  for (;;) {
    const values = await ask({ ...question, reject })
    if (!values) return false
    try {
      await send(values)
      return true
    } catch (error) {
      if (!isReason(error)) throw error
      reject = error.message
    }
  }
}

/** Asks before an act that cannot be undone. The text says what the act will do. */
export const confirmAct = async (title, text, action) =>
  (await ask({ title, text, action, kind: 'danger' })) !== undefined
