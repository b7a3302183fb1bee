import { admin } from './api.js'
import { h, heading, plural, span, svg, tag } from './dom.js'

const SERIES = [
  ['sign_ins', 'Sign-ins'],
  ['refreshes', 'Refreshes'],
  ['refusals', 'Refusals'],
  ['revocations', 'Sessions ended'],
]
const EVERY = 5000
/** Milliseconds. Redis gets a heartbeat four times a second. After a second, followers look each token up. */
const STALE = 1000

/** The last hour as small charts, and the state of the stores. It reads again every 5 seconds while it is visible. */
export async function now(view) {
  const facts = h('dl', { class: 'card facts' })
  const charts = SERIES.map(([name, title]) => createChart(title, name, point))
  await read()
  view.show(
    heading('Now', h('p', { class: 'soft' }, 'Updates every 5 seconds')),
    facts,
    h(
      'div',
      { class: 'charts', mouseleave: () => point(undefined) },
      charts.map(({ figure }) => figure),
    ),
    h(
      'p',
      { class: 'soft foot' },
      'The charts show the last hour of the instance that answered. Prometheus has the history of all instances.',
    ),
  )
  const timer = setInterval(() => {
    if (!facts.isConnected) clearInterval(timer)
    else if (!document.hidden) read().then(view.recover, view.fail)
  }, EVERY)

  async function read() {
    const state = await admin('now')
    facts.replaceChildren(
      fact('Live sessions', state.live_sessions === null ? 'unknown' : state.live_sessions.toLocaleString('en')),
      fact('Revocation feed', feed(state)),
      fact(
        'Stores',
        Object.entries(state.checks).map(([name, result]) =>
          tag(result === 'ok' ? `${name} ok` : `${name}: ${result}`, result === 'ok' ? 'good' : 'bad'),
        ),
      ),
      fact('Version', `${state.version}, up ${span(Date.now() / 1000 - state.started_at)}`),
    )
    for (const { draw } of charts) draw(state.minutes)
  }

  /** All charts show the same minute. Undefined: the whole hour. */
  function point(index) {
    for (const { highlight } of charts) highlight(index)
  }
}

/** The feed is in Redis, with a heartbeat. Without Redis the database writes it when it deletes a session, so it has no age. */
function feed({ checks, feed_age_ms: age }) {
  if (!('redis' in checks)) return 'in the database'
  if (age === null) return checks.redis === 'ok' ? tag('no instance writes it', 'bad') : 'unknown'
  return age < STALE
    ? 'less than a second old'
    : tag(`${age < 60_000 ? plural(Math.floor(age / 1000), 'second') : span(age / 1000)} old`, 'bad')
}

const fact = (name, value) => h('div', {}, h('dt', {}, name), h('dd', { class: 'tags' }, value))
const clock = (unixSeconds) => new Date(unixSeconds * 1000).toLocaleTimeString('en-GB', { timeStyle: 'short' })

const [STEP, BAR, HEIGHT] = [5, 3.6, 60]

function createChart(title, name, point) {
  let minutes = []
  let pointed
  const label = h('span', { class: 'soft' })
  const number = h('b', { class: 'number' })
  const peak = h('span', {})
  const begin = h('span', {})
  const picture = svg('svg', { viewBox: `0 0 ${60 * STEP} ${HEIGHT + 1}`, role: 'img', preserveAspectRatio: 'none' })
  picture.addEventListener('pointermove', (event) => {
    const { left, width } = picture.getBoundingClientRect()
    point(Math.min(59, Math.max(0, Math.floor((60 * (event.clientX - left)) / width))))
  })
  const figure = h(
    'figure',
    { class: `card chart ${name}` },
    h('figcaption', {}, h('span', {}, title), h('span', { class: 'reading' }, label, number)),
    picture,
    h('p', { class: 'soft scale' }, begin, peak, h('span', {}, 'now')),
  )
  const values = () => minutes.map((minute) => minute[name])
  const format = (value) => value.toLocaleString('en')

  function highlight(index) {
    pointed = index
    label.textContent = index === undefined ? '' : clock(minutes[index].time)
    number.textContent = format(index === undefined ? values().reduce((sum, value) => sum + value, 0) : values()[index])
    for (const [each, bar] of [...picture.querySelectorAll('.bar-of-minute')].entries()) {
      bar.classList.toggle('dim', index !== undefined && each !== index)
    }
  }

  function draw(next) {
    minutes = next
    const highest = Math.max(...values())
    const total = values().reduce((sum, value) => sum + value, 0)
    picture.setAttribute(
      'aria-label',
      `${title}: ${format(total)} in the last hour, at most ${format(highest)} a minute`,
    )
    const bars = values().map((value, index) => {
      const height = value === 0 ? 0 : Math.max(2, ((HEIGHT - 2) * value) / highest)
      return svg('rect', {
        class: 'bar-of-minute',
        x: index * STEP + (STEP - BAR) / 2,
        y: HEIGHT - height,
        width: BAR,
        height,
        rx: 0.8,
      })
    })
    picture.replaceChildren(
      svg('path', { class: 'axis', d: `M0 ${HEIGHT / 2}H${60 * STEP}` }),
      ...bars,
      svg('path', { class: 'axis base', d: `M0 ${HEIGHT + 0.5}H${60 * STEP}` }),
    )
    begin.textContent = clock(minutes[0].time)
    peak.textContent = highest === 0 ? 'nothing in the last hour' : `at most ${format(highest)} a minute`
    highlight(pointed)
  }

  return { figure, draw, highlight }
}
