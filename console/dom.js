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

const ICONS = {
  computer:
    'M5.5 4.5h13a1.5 1.5 0 0 1 1.5 1.5v8a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 14V6a1.5 1.5 0 0 1 1.5-1.5zM2 19.5h20',
  phone:
    'M9.5 2.5h5A2.5 2.5 0 0 1 17 5v14a2.5 2.5 0 0 1-2.5 2.5h-5A2.5 2.5 0 0 1 7 19V5a2.5 2.5 0 0 1 2.5-2.5zM11 18.5h2',
}
export const icon = (name) =>
  svg('svg', { class: 'icon', viewBox: '0 0 24 24', 'aria-hidden': 'true' }, svg('path', { d: ICONS[name] }))

/** Facts of one line, with dots between them. */
export const members = (facts) =>
  facts
    .filter(Boolean)
    .flatMap((fact, index) => [index > 0 && h('span', { class: 'dot' }, ' · '), h('span', { class: 'member' }, fact)])

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

let dialogs = 0
/**
 * Opens a dialog with a form, and sends its values. The dialog stays open while the service works, and when it refuses: then it
 * shows why. Resolves with the values when they were accepted, or with undefined when the person cancelled.
 *
 * @param other a second way to answer. With `done`, the dialog stays open, and the button then has this text
 */
export function ask({ title, text, fields = [], action, kind, other, isFinal, send = async () => {} }) {
  dialogs += 1
  const [titleId, textId] = [`dialog-title-${dialogs}`, `dialog-text-${dialogs}`]
  return new Promise((resolve) => {
    let isBusy = false
    const refusal = h('p', { class: 'alert', role: 'alert', hidden: true })
    const cancel = button('Cancel', () => isBusy || dialog.close(), { kind: 'quiet' })
    const second = other && button(other.text, () => attempt(other.act, {}, other.done), { kind: 'quiet' })
    const form = h(
      'form',
      {
        method: 'dialog',
        submit: (event) => {
          event.preventDefault()
          attempt(send, Object.fromEntries(new FormData(form)))
        },
      },
      h('h2', { id: titleId }, title),
      text && h('p', { id: textId, class: 'soft' }, text),
      refusal,
      fields.map(({ label, hint, ...input }) =>
        h('label', { class: 'field' }, h('span', {}, label), h('input', input), hint && h('small', {}, hint)),
      ),
      h(
        'div',
        { class: 'actions' },
        !isFinal && cancel,
        second,
        h('button', { type: 'submit', class: kind ?? 'primary' }, action),
      ),
    )
    const dialog = h(
      'dialog',
      {
        'aria-labelledby': titleId,
        'aria-describedby': text && textId,
        cancel: (event) => isBusy && event.preventDefault(),
        close: () => {
          dialog.remove()
          if (!isBusy) resolve(undefined)
        },
      },
      form,
    )
    document.body.append(dialog)
    dialog.showModal()
    // A careless Enter must not destroy.
    if (fields.length === 0) cancel.focus()

    async function attempt(act, values, done) {
      if (isBusy) return
      isBusy = true
      dialog.setAttribute('aria-busy', 'true')
      refusal.hidden = true
      try {
        await act(values)
        if (done) {
          second.textContent = done
          return
        }
        resolve(values)
        dialog.close()
      } catch (error) {
        // The session ended meanwhile, and closed the dialog.
        if (!dialog.open) return resolve(undefined)
        refusal.textContent = error.message
        refusal.hidden = false
        form.querySelector('input')?.select()
      } finally {
        isBusy = false
        dialog.removeAttribute('aria-busy')
      }
    }
  })
}

/** Asks before an act that cannot be undone, and does it. The text says what the act will do. Returns whether it was done. */
export const confirmAct = async (title, text, action, send) =>
  (await ask({ title, text, action, kind: 'danger', send })) !== undefined
