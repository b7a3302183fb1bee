import { admin } from './api.js'
import { button, empty, h, heading } from './dom.js'

const KINDS = [
  ['', 'All events'],
  ['login.', 'Sign-ins'],
  ['refresh.', 'Refreshes'],
  ['session.', 'Ended sessions'],
  ['user.', 'Accounts'],
  ['factor.', 'Second factors'],
  ['client.', 'Services'],
  ['recovery.', 'Recovery'],
]
const ALWAYS = ['time', 'event', 'ip', 'reqId', 'log']

/** The audit lines of the last hour of one instance. */
export async function activity(view) {
  const list = h('ul', { class: 'plain log', 'aria-label': 'Events, the newest first' })
  const kind = h(
    'select',
    { 'aria-label': 'Kind of event', change: () => load().catch(view.fail) },
    KINDS.map(([value, text]) => h('option', { value }, text)),
  )
  const about = h('input', {
    type: 'search',
    'aria-label': 'Id of an account or a service',
    placeholder: 'Id of an account or a service',
    spellcheck: 'false',
    change: () => load().catch(view.fail),
  })

  async function load() {
    const query = new URLSearchParams({
      ...(kind.value && { event: kind.value }),
      ...(about.value.trim() && { sub: about.value.trim() }),
    })
    const { events } = await admin(`activity?${query}`)
    list.replaceChildren(
      ...(events.length > 0 ? events.map(line) : [h('li', {}, empty('Nothing happened in the last hour.'))]),
    )
  }

  await load()
  view.show(
    heading(
      'Activity',
      h(
        'div',
        { class: 'filters' },
        kind,
        about,
        button('Read again', () => load().catch(view.fail)),
      ),
    ),
    h('section', { class: 'card' }, list),
    h(
      'p',
      { class: 'soft' },
      'The last hour of the instance that answered. The audit log on standard output has everything.',
    ),
  )
}

function line(event) {
  const isBad = /refused|reused/.test(event.event)
  const rest = Object.entries(event).filter(([name]) => !ALWAYS.includes(name))
  return h(
    'li',
    { class: isBad ? 'bad' : undefined },
    h('time', { datetime: event.time, title: event.time }, new Date(event.time).toLocaleTimeString('en-GB')),
    h('b', {}, event.event),
    h(
      'span',
      { class: 'soft' },
      rest.map(([name, value]) => {
        const text = Array.isArray(value) ? value.join(' ') : String(value)
        const known = name === 'sub' && !event.event.startsWith('client.')
        return h(
          'span',
          { class: 'member' },
          `${name} `,
          known ? h('a', { href: `#people/${encodeURIComponent(text)}` }, short(text)) : short(text),
        )
      }),
      h('span', { class: 'member' }, event.ip),
    ),
  )
}

const short = (text) => (text.length > 28 ? `${text.slice(0, 13)}…` : text)
