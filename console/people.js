import { admin } from './api.js'
import { ago, askUntilAccepted, button, confirmAct, empty, h, heading, plural, say, span, svg, tag } from './dom.js'

/** Everybody, or one person: `#people`, `#people/ID`. */
export function people(view, [id]) {
  return id === undefined ? list(view) : person(view, decodeURIComponent(id))
}

async function list(view) {
  const rows = h('ul', { class: 'rows', 'aria-label': 'People' })
  const more = h('div', { class: 'more' })
  const search = h('input', {
    type: 'search',
    'aria-label': 'Search people by the begin of their name',
    placeholder: 'Search by name',
    autocapitalize: 'none',
    spellcheck: 'false',
    input: () => {
      clearTimeout(waiting)
      waiting = setTimeout(() => load().catch(view.fail), 150)
    },
  })
  let waiting
  let latest = 0

  async function load(cursor) {
    latest += 1
    const mine = latest
    const prefix = search.value.trim()
    const query = new URLSearchParams({
      limit: 50,
      ...(prefix && { username_prefix: prefix }),
      ...(cursor && { cursor }),
    })
    const { users, next } = await admin(`users?${query}`)
    if (mine !== latest) return
    const items = users.map(row)
    if (cursor) rows.append(...items)
    else rows.replaceChildren(...(items.length > 0 ? items : [h('li', {}, empty('Nobody has such a name.'))]))
    more.replaceChildren(...(next ? [button('Show more', () => load(next).catch(view.fail))] : []))
  }

  await load()
  view.show(heading('People', search), h('section', { class: 'card' }, rows), more)
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
  const ends =
    sessions.length === 0 ? 'No session is open.' : `This ends ${plural(sessions.length, 'session')} at once.`
  const act = async (title, text, action, call, done) => {
    if (!(await confirmAct(title, text, action))) return
    await call()
    say(done)
    await view.reload()
  }
  const run = (task) => () => task().catch(view.fail)

  const device = (session) =>
    h(
      'li',
      { class: 'device' },
      h(
        'div',
        { class: 'grow' },
        h('b', {}, session.device_name ?? describe(session.user_agent)),
        h(
          'p',
          { class: 'soft' },
          session.ip,
          ' · signed in ',
          ago(session.created_at),
          ' · seen ',
          ago(session.last_seen_at),
        ),
        timeline(session),
      ),
      button(
        'End',
        run(() =>
          act(
            'End this session?',
            `This ends 1 session of ${username}, on ${session.device_name ?? describe(session.user_agent)}. Every service refuses its tokens at once.`,
            'End 1 session',
            () => admin(`sessions/${session.sid}?${of}`, { method: 'DELETE' }),
            'The session has ended.',
          ),
        ),
        { kind: 'danger-quiet', label: `End the session on ${session.device_name ?? describe(session.user_agent)}` },
      ),
    )

  const acts = h(
    'section',
    { class: 'card acts', 'aria-labelledby': 'acts-title' },
    h('h2', { id: 'acts-title' }, 'Account'),
    disabled
      ? actRow(
          'Enable',
          'The person can sign in again.',
          'Enable',
          run(async () => {
            await admin(`${path}/enable`, { method: 'POST' })
            say(`${username} can sign in again.`)
            await view.reload()
          }),
        )
      : actRow(
          'Disable',
          'End every session, and refuse each sign-in.',
          'Disable',
          run(() =>
            act(
              `Disable ${username}?`,
              `${ends} ${username} cannot sign in until you enable the account.`,
              'Disable',
              () => admin(`${path}/disable`, { method: 'POST' }),
              `${username} is disabled.`,
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
          ),
        ),
        'danger-quiet',
      ),
    actRow(
      'Roles',
      roles.join(', ') || 'None',
      'Change',
      run(() => changeRoles(path, user, view)),
    ),
  )

  view.show(
    h('p', {}, h('a', { href: '#people', class: 'back' }, '← People')),
    h(
      'div',
      {},
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
          h('h2', { id: 'devices-title' }, sessions.length === 0 ? 'Devices' : plural(sessions.length, 'device')),
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
                ),
              ),
              { kind: 'danger-quiet' },
            ),
        ),
        sessions.length === 0 ? empty('Nobody is signed in.') : h('ul', { class: 'plain' }, sessions.map(device)),
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
            : h(
                'ul',
                { class: 'plain' },
                factors.map(({ type, name }) => h('li', { class: 'pair' }, h('span', {}, name ?? type), tag(type))),
              ),
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

const actRow = (title, text, action, click, kind) =>
  h(
    'div',
    { class: 'act' },
    h('div', { class: 'grow' }, h('b', {}, title), h('p', { class: 'soft' }, text)),
    button(action, click, { kind, label: `${action}: ${title}` }),
  )

async function resetPassword(path, username, ends, view) {
  const question = {
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
  }
  const send = (values) => admin(`${path}/password`, { method: 'POST', json: values })
  if (!(await askUntilAccepted(question, send, isInvalid))) return
  say('The password is reset.')
  await view.reload()
}

async function changeRoles(path, { username, roles }, view) {
  const question = {
    title: `Roles of ${username}`,
    text: 'Each session with a removed role ends. An added role counts from the next sign-in.',
    fields: [{ label: 'Roles, with spaces between', name: 'roles', value: roles.join(' '), spellcheck: 'false' }],
    action: 'Set the roles',
  }
  const send = (values) =>
    admin(`${path}/roles`, { method: 'PUT', json: { roles: values.roles.split(/\s+/).filter(Boolean) } })
  if (!(await askUntilAccepted(question, send, isInvalid))) return
  say('The roles are set.')
  await view.reload()
}

const isInvalid = (error) => error.status === 400

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
