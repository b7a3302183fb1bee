import { admin } from './api.js'
import { h, heading, plural, span, svg, tag } from './dom.js'

const SERIES = [
  ['sign_ins', 'Sign-ins'],
  ['refreshes', 'Refreshes'],
  ['refusals', 'Refusals'],
  ['revocations', 'Sessions ended'],
]
const EVERY = 5000

/** The last hour as small charts, and the state of the stores. It reads again every 5 seconds while it is visible. */
export async function now(view) {
  const body = h('div', { class: 'stack' })
  await draw()
  view.show(heading('Now'), body)
  const timer = setInterval(() => {
    if (!body.isConnected) clearInterval(timer)
    else if (!document.hidden) draw().catch(view.fail)
  }, EVERY)

  async function draw() {
    const state = await admin('now')
    const checks = Object.entries(state.checks)
    const age = state.feed_age_ms
    body.replaceChildren(
      h(
        'dl',
        { class: 'facts' },
        fact('Live sessions', state.live_sessions === null ? 'unknown' : state.live_sessions.toLocaleString('en')),
        fact(
          'Revocation feed',
          age === null ? 'no entry yet' : age < 1000 ? 'less than a second old' : `${span(age / 1000)} old`,
        ),
        fact(
          'Stores',
          checks.map(([name, result]) =>
            tag(result === 'ok' ? `${name} ok` : `${name}: ${result}`, result === 'ok' ? 'good' : 'bad'),
          ),
        ),
        fact('Version', `${state.version}, up ${span(Date.now() / 1000 - state.started_at)}`),
      ),
      h(
        'div',
        { class: 'charts' },
        SERIES.map(([name, title]) => chart(title, name, state.minutes)),
      ),
      h(
        'p',
        { class: 'soft' },
        'The charts show the last hour of the instance that answered. Prometheus has the history of all instances.',
      ),
    )
  }
}

const fact = (name, value) => h('div', {}, h('dt', {}, name), h('dd', { class: 'tags' }, value))

function chart(title, name, minutes) {
  const values = minutes.map((minute) => minute[name])
  const total = values.reduce((sum, value) => sum + value, 0)
  const highest = Math.max(...values)
  const top = Math.max(1, highest)
  const text = `${title}: ${total.toLocaleString('en')} in the last hour, at most ${highest.toLocaleString('en')} a minute`
  const bars = values.map((value, index) => {
    const height = value === 0 ? 0 : Math.max(1.5, (38 * value) / top)
    return svg('rect', { x: index * 5, y: 40 - height, width: 3.6, height, rx: 0.8 })
  })
  return h(
    'figure',
    { class: `card chart ${name}` },
    h('figcaption', {}, h('span', {}, title), h('b', {}, total.toLocaleString('en'))),
    svg(
      'svg',
      { viewBox: '0 0 300 41', role: 'img', 'aria-label': text, preserveAspectRatio: 'none' },
      ...bars,
      svg('path', { class: 'axis', d: 'M0 40.5H300' }),
    ),
    h(
      'p',
      { class: 'soft scale' },
      h('span', {}, '1 hour ago'),
      h('span', {}, `at most ${plural(highest, 'a minute', 'a minute')}`),
      h('span', {}, 'now'),
    ),
  )
}
