import { admin } from './api.js'
import { ago, ask, button, confirmAct, empty, h, heading, icon, members, plural, say, span, svg, tag } from './dom.js'
import { note } from './names.js'

/** Accounts that one request reads, and devices that a person's page shows at first. */
const [PAGE, DEVICES] = [50, 20]

/** Everybody, or one person: `#people`, `#people/ID`. */
export function people(view, [id]) {
  return id === undefined ? list(view) : person(view, decodeURIComponent(id))
}

async function list(view) {
  const rows = h('ul', { class: 'rows', 'aria-label': 'People' })
  const more = h('div', { class: 'more' })
  const found = h('p', { class: 'soft', role: 'status' })
  const read = () => load().catch(view.fail)
  const search = h('input', {
    type: 'search',
    'aria-label': 'Search people by the begin of their name',
    placeholder: 'Search by name',
    autocapitalize: 'none',
    spellcheck: 'false',
    input: () => {
      clearTimeout(waiting)
      waiting = setTimeout(read, 150)
    },
  })
  const which = h(
    'select',
    { 'aria-label': 'Which accounts', change: read },
    [
      ['', 'All accounts'],
      ['false', 'Enabled'],
      ['true', 'Disabled'],
    ].map(([value, text]) => h('option', { value }, text)),
  )
  let waiting
  let latest = 0

  async function load(cursor) {
    latest += 1
    const mine = latest
    const prefix = search.value.trim()
    const query = new URLSearchParams({
      limit: PAGE,
      ...(prefix && { username_prefix: prefix }),
      ...(which.value && { disabled: which.value }),
      ...(cursor && { cursor }),
    })
    const { users, next } = await admin(`users?${query}`)
    if (mine !== latest) return
    for (const user of users) note(user)
    const items = users.map(row)
    const nobody =
      prefix || which.value ? 'No account matches. Search for the begin of a name.' : 'There are no accounts yet.'
    if (cursor) {
      rows.append(...items)
      items[0]?.querySelector('a').focus()
    } else rows.replaceChildren(...(items.length > 0 ? items : [h('li', { class: 'none' }, empty(nobody))]))
    const count = rows.querySelectorAll('.row').length
    found.textContent = next ? `The first ${count.toLocaleString('en')}` : plural(count, 'account')
    more.replaceChildren(...(next ? [button('Show more', () => load(next).catch(view.fail))] : []))
  }

  await load()
  view.show(
    heading('People', h('div', { class: 'filters' }, which, search)),
    h('section', { class: 'card' }, rows),
    h('div', { class: 'foot' }, found, more),
  )
}

const row = ({ id, username, roles, disabled, created_at: created }) =>
  h(
    'li',
    {},
    h(
      'a',
      { class: 'row', href: `#people/${encodeURIComponent(id)}` },
      h('b', {}, username),
      h(
        'span',
        { class: 'tags' },
        disabled && tag('disabled', 'bad'),
        roles.map((role) => tag(role)),
      ),
      h(
        'span',
        { class: 'soft end' },
        'since ',
        new Date(created * 1000).toLocaleDateString('en', { dateStyle: 'medium' }),
      ),
    ),
  )

async function person(view, id) {
  const path = `users/${encodeURIComponent(id)}`
  const of = `sub=${encodeURIComponent(id)}`
  const [user, { sessions }, { factors, recovery_codes_left: codes }] = await Promise.all([
    admin(path),
    admin(`sessions?${of}`),
    admin(`${path}/factors`),
  ])
  const { username, roles, disabled, claims } = user
  note(user)
  view.title(username)
  const ends =
    sessions.length === 0 ? 'No session is open.' : `This ends ${plural(sessions.length, 'session')} at once.`
  const act = async (title, text, action, call, done, focus) => {
    if (!(await confirmAct(title, text, action, call))) return
    say(done)
    await view.reload(focus)
  }
  const run = (task) => () => task().catch(view.fail)

  const device = (session) => {
    const name = session.device_name ?? describe(session.user_agent)
    return h(
      'li',
      { class: 'device' },
      icon(isPhone(session.user_agent) ? 'phone' : 'computer'),
      h(
        'div',
        { class: 'grow' },
        h('b', {}, name),
        h(
          'p',
          { class: 'soft' },
          members([['seen ', ago(session.last_seen_at)], ['signed in ', ago(session.created_at)], session.ip]),
        ),
        timeline(session),
      ),
      button(
        'End',
        run(() =>
          act(
            'End this session?',
            `This ends 1 session of ${username}, on ${name}. Every service refuses its tokens at once.`,
            'End 1 session',
            () => admin(`sessions/${session.sid}?${of}`, { method: 'DELETE' }),
            'The session has ended.',
            '#devices-title',
          ),
        ),
        { kind: 'danger-quiet', label: `End the session on ${name}` },
      ),
    )
  }

  const acts = h(
    'section',
    { class: 'card acts', 'aria-labelledby': 'acts-title' },
    h('h2', { id: 'acts-title', tabindex: -1 }, 'Account'),
    disabled
      ? actRow(
          'Sign-in',
          'Refused, because the account is disabled.',
          'Enable',
          run(async () => {
            await admin(`${path}/enable`, { method: 'POST' })
            say(`${username} can sign in again.`)
            await view.reload('#acts-title')
          }),
        )
      : actRow(
          'Sign-in',
          'Allowed. Disabling the account ends all sessions.',
          'Disable',
          run(() =>
            act(
              `Disable ${username}?`,
              `${ends} ${username} cannot sign in until you enable the account.`,
              'Disable',
              () => admin(`${path}/disable`, { method: 'POST' }),
              `${username} is disabled.`,
              '#acts-title',
            ),
          ),
          'danger-quiet',
        ),
    actRow(
      'Password',
      'Set another one, and end every session.',
      'Reset',
      run(() => resetPassword(path, username, ends, view)),
      'danger-quiet',
    ),
    factors.length > 0 &&
      actRow(
        'Second factors',
        'Remove all of them, for a person who lost them.',
        'Remove',
        run(() =>
          act(
            `Remove the factors of ${username}?`,
            `This removes ${plural(factors.length, 'factor')} and ${plural(codes, 'recovery code')}. ${ends}`,
            'Remove',
            () => admin(`${path}/factors`, { method: 'DELETE' }),
            'The factors are removed.',
            '#acts-title',
          ),
        ),
        'danger-quiet',
      ),
    actRow(
      'Roles',
      roles.join(', ') || 'None',
      'Change',
      run(() => changeRoles(path, user, view)),
      'quiet',
    ),
  )

  view.show(
    h(
      'div',
      {},
      h('p', { class: 'over' }, h('a', { href: '#people', class: 'back' }, '← People')),
      h(
        'div',
        { class: 'heading' },
        h(
          'div',
          { class: 'title' },
          h('h1', {}, username),
          h(
            'span',
            { class: 'tags' },
            disabled && tag('disabled', 'bad'),
            roles.map((role) => tag(role)),
          ),
        ),
        h('a', { href: `#activity/${encodeURIComponent(id)}` }, 'Activity of the last hour'),
      ),
      h('p', { class: 'soft mono' }, id),
    ),
    h(
      'div',
      { class: 'columns' },
      h(
        'section',
        { class: 'card', 'aria-labelledby': 'devices-title' },
        h(
          'div',
          { class: 'card-head' },
          h(
            'h2',
            { id: 'devices-title', tabindex: -1 },
            sessions.length === 0 ? 'Devices' : plural(sessions.length, 'device'),
          ),
          sessions.length > 1 &&
            button(
              'End all',
              run(() =>
                act(
                  `Sign ${username} out everywhere?`,
                  ends,
                  `End ${plural(sessions.length, 'session')}`,
                  () => admin(`sessions?${of}`, { method: 'DELETE' }),
                  `${plural(sessions.length, 'session')} ended.`,
                  '#devices-title',
                ),
              ),
              { kind: 'danger-quiet' },
            ),
        ),
        sessions.length === 0 ? empty('Nobody is signed in.') : devices(sessions, device),
      ),
      h(
        'div',
        { class: 'stack' },
        acts,
        h(
          'section',
          { class: 'card', 'aria-labelledby': 'factors-title' },
          h('h2', { id: 'factors-title' }, 'Second factors'),
          factors.length === 0
            ? empty('None: the password alone signs in.')
            : [
                h(
                  'ul',
                  { class: 'plain' },
                  factors.map(({ type, name }) =>
                    h('li', { class: 'pair' }, h('span', {}, name ?? 'Without a name'), tag(FACTORS[type] ?? type)),
                  ),
                ),
                h('p', { class: 'soft' }, `${plural(codes, 'recovery code')} left.`),
              ],
        ),
        h(
          'section',
          { class: 'card', 'aria-labelledby': 'claims-title' },
          h('h2', { id: 'claims-title' }, 'Claims'),
          Object.keys(claims).length === 0
            ? empty('None.')
            : h(
                'dl',
                { class: 'pairs' },
                Object.entries(claims).map(([name, value]) => [h('dt', {}, name), h('dd', {}, String(value))]),
              ),
        ),
      ),
    ),
  )
}

const FACTORS = { totp: 'authenticator app', passkey: 'passkey' }

/** The devices that were seen last. A person may have a hundred: the others come when somebody asks for them. */
function devices(sessions, device) {
  const sorted = [...sessions].sort((one, other) => other.last_seen_at - one.last_seen_at)
  const list = h('ul', { class: 'plain' }, sorted.slice(0, DEVICES).map(device))
  const rest = sorted.slice(DEVICES)
  if (rest.length === 0) return list
  const more = button(`Show ${plural(rest.length, 'more device')}`, () => {
    const items = rest.map(device)
    list.append(...items)
    more.parentNode.remove()
    items[0].querySelector('button').focus()
  })
  return [list, h('p', { class: 'more' }, more)]
}

const actRow = (title, text, action, click, kind) =>
  h(
    'div',
    { class: 'act' },
    h('div', { class: 'grow' }, h('b', {}, title), h('p', { class: 'soft' }, text)),
    button(action, click, { kind, label: `${action}: ${title}` }),
  )

async function resetPassword(path, username, ends, view) {
  const values = await ask({
    title: `Reset the password of ${username}?`,
    text: `${ends} Give the new password to the person in a safe way.`,
    fields: [
      {
        label: 'New password',
        name: 'password',
        type: 'text',
        autocomplete: 'off',
        spellcheck: 'false',
        required: true,
      },
    ],
    action: 'Reset the password',
    kind: 'danger',
    send: (values) => admin(`${path}/password`, { method: 'POST', json: values }),
  })
  if (!values) return
  say('The password is reset.')
  await view.reload('#acts-title')
}

async function changeRoles(path, { username, roles }, view) {
  const values = await ask({
    title: `Roles of ${username}`,
    text: 'Each session with a removed role ends. An added role counts from the next sign-in.',
    fields: [{ label: 'Roles, with spaces between', name: 'roles', value: roles.join(' '), spellcheck: 'false' }],
    action: 'Set the roles',
    send: (values) =>
      admin(`${path}/roles`, { method: 'PUT', json: { roles: values.roles.split(/\s+/).filter(Boolean) } }),
  })
  if (!values) return
  say('The roles are set.')
  await view.reload('#acts-title')
}

/** When a device signed in, was seen, and will expire: a line over the life of its session. */
function timeline({ created_at: created, last_seen_at: seen, expires_at: expires }) {
  const now = Date.now() / 1000
  const at = (time) => (100 * (time - created)) / Math.max(1, expires - created)
  const text = `In use for ${span(seen - created)}. Expires in ${span(expires - now)} without use.`
  return svg(
    'svg',
    { class: 'timeline', viewBox: '0 0 100 6', preserveAspectRatio: 'none', role: 'img', 'aria-label': text },
    svg('title', {}, text),
    svg('rect', { class: 'life', x: 0, y: 2, width: 100, height: 2, rx: 1 }),
    svg('rect', { class: 'used', x: 0, y: 2, width: Math.max(0.8, at(seen)), height: 2, rx: 1 }),
    svg('rect', { class: 'today', x: Math.min(99.2, at(now)), y: 0, width: 0.8, height: 6 }),
  )
}

const isPhone = (agent) => /iPhone|Android|Mobile|okhttp|Darwin/.test(agent ?? '')

/** "Firefox on Linux", from a User-Agent. */
export function describe(agent) {
  if (!agent) return 'Unknown device'
  const browser = [
    [/Edg\//, 'Edge'],
    [/Firefox\//, 'Firefox'],
    [/Chrome\//, 'Chrome'],
    [/Safari\//, 'Safari'],
  ].find(([pattern]) => pattern.test(agent))?.[1]
  const system = [
    [/iPhone|iPad/, 'iOS'],
    [/Android/, 'Android'],
    [/Windows/, 'Windows'],
    [/Mac OS X/, 'macOS'],
    [/Linux/, 'Linux'],
  ].find(([pattern]) => pattern.test(agent))?.[1]
  return browser && system ? `${browser} on ${system}` : agent.slice(0, 40)
}
