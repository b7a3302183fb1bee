import { admin } from './api.js'
import { button, empty, h, heading, members } from './dom.js'
import { idOf, learn, nameOf } from './names.js'

const KINDS = [
  ['', 'All events'],
  ['login.', 'Sign-ins'],
  ['refresh.', 'Refreshes'],
  ['session.', 'Ended sessions'],
  ['user.', 'Accounts'],
  ['factor.', 'Second factors'],
  ['recovery.', 'Recovery'],
  ['client.', 'Services'],
  ['token.', 'Token exchange'],
]
/** What an operator reads. The name of the event, as the audit log has it, stands at the end of the line. */
const WORDS = {
  'login.accepted': 'Signed in',
  'login.stepped_up': 'Proved again',
  'login.factor_required': 'Asked for a factor',
  'login.refused': 'Sign-in refused',
  'refresh.rotated': 'Refreshed',
  'refresh.replayed': 'Refresh repeated',
  'refresh.reused': 'Refresh token reused',
  'refresh.refused': 'Refresh refused',
  'session.ended': 'Session ended',
  'user.created': 'Account created',
  'user.deleted': 'Account deleted',
  'user.disabled': 'Account disabled',
  'user.enabled': 'Account enabled',
  'user.password_reset': 'Password reset',
  'user.password_changed': 'Password changed',
  'user.password_refused': 'Password refused',
  'user.create_refused': 'Sign-up refused',
  'user.roles_changed': 'Roles changed',
  'user.renamed': 'Account renamed',
  'user.claims_changed': 'Claims changed',
  'user.mfa_changed': 'Second factor demanded',
  'client.tokens_revoked': 'Tokens revoked',
  'client.token_issued': 'Token issued',
}
/** Members that have a place of their own in the line, or that only a machine reads. */
const PLACED = [
  'time',
  'event',
  'ip',
  'reqId',
  'log',
  'sub',
  'client',
  'by',
  'sid',
  'sids',
  'reason',
  'generation',
  'nbf',
  'amr',
]
/** RFC 8176 */
const METHODS = { pwd: 'password', otp: 'app', hwk: 'passkey', swk: 'synced passkey', mfa: undefined }
const PAGE = 50
const MOST = 1000

/** The audit lines of the last hour of one instance: `#activity`, or those of one account or service, `#activity/ID`. */
export async function activity(view, [id]) {
  const list = h('ul', { class: 'plain log', 'aria-label': 'Events, the newest first' })
  const more = h('div', { class: 'more' })
  const read = () => load().catch(view.fail)
  const kind = h(
    'select',
    { 'aria-label': 'Kind of event', change: read },
    KINDS.map(([value, text]) => h('option', { value }, text)),
  )
  const about = h('input', {
    type: 'search',
    'aria-label': 'Name or id of an account or a service',
    placeholder: 'Account or service',
    autocapitalize: 'none',
    spellcheck: 'false',
    change: read,
  })
  let latest = 0

  async function load(limit = PAGE) {
    latest += 1
    const mine = latest
    const asked = about.value.trim()
    const sub = asked && ((await idOf(asked)) ?? asked)
    const query = new URLSearchParams({ limit, ...(kind.value && { event: kind.value }), ...(sub && { sub }) })
    const { events } = await admin(`activity?${query}`)
    await learn(events.flatMap(({ event, sub, by }) => (isOfService(event) ? [by] : [sub, by])).filter(isAccount))
    if (mine !== latest) return
    const isFiltered = kind.value !== '' || asked !== ''
    const nothing = isFiltered
      ? 'Nothing in the last hour matches. Choose other events, or another account.'
      : 'Nothing happened in the last hour.'
    list.replaceChildren(...(events.length > 0 ? events.map(line) : [h('li', { class: 'none' }, empty(nothing))]))
    const next = Math.min(MOST, limit * 4)
    more.replaceChildren(
      ...(events.length === limit && limit < MOST ? [button('Show more', () => load(next).catch(view.fail))] : []),
    )
  }

  if (id !== undefined) {
    const asked = decodeURIComponent(id)
    if (isAccount(asked)) await learn([asked])
    about.value = nameOf(asked) ?? asked
  }
  await load()
  view.show(
    heading('Activity', h('div', { class: 'filters' }, kind, about, button('Read again', read))),
    h('section', { class: 'card' }, list),
    more,
    h(
      'p',
      { class: 'soft foot' },
      'The last hour of the instance that answered. The audit log on standard output has everything.',
    ),
  )
}

const isOfService = (event) => event.startsWith('client.') || event.startsWith('issuer.')
/** Ids of accounts are UUIDs, or what an import gave them. Clients have short names. */
const isAccount = (id) => typeof id === 'string' && /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(id)

function line(event) {
  const { event: name, sub, client, by, ip, time, reason, sids, generation, amr } = event
  const subject = sub ?? client
  const rest = Object.entries(event).filter(
    ([member, value]) => !PLACED.includes(member) && !(isOfService(name) && value.length === 0),
  )
  const details = [
    sids?.length > 1 && `${sids.length} sessions`,
    sub && client && `service: ${client}`,
    reason && words(reason),
    generation !== undefined && `generation ${generation}`,
    amr &&
      [...new Set(amr.map((method) => (method in METHODS ? METHODS[method] : method)))].filter(Boolean).join(' and '),
    ...rest.map(([member, value]) => `${words(member)}: ${[value].flat().join(', ') || 'none'}`),
    by && ['by ', isAccount(by) ? who(by, '') : by],
    ip,
  ]
  return h(
    'li',
    { class: /refused|reused/.test(name) ? 'bad' : undefined },
    h('time', { datetime: time, title: time }, new Date(time).toLocaleTimeString('en-GB')),
    h('b', {}, WORDS[name] ?? sentence(name)),
    h('span', { class: 'whom' }, subject && who(subject, name)),
    h('span', { class: 'soft' }, members(details)),
    h('code', { class: 'soft' }, name),
  )
}

function who(id, event) {
  if (isOfService(event)) return id
  return h('a', { href: `#people/${encodeURIComponent(id)}` }, nameOf(id) ?? short(id))
}

const words = (name) =>
  String(name)
    .replace(/_/g, ' ')
    .replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
/** "client.secret_rotated" reads "Client secret rotated". */
const sentence = (name) => `${name[0].toUpperCase()}${words(name.slice(1)).replace('.', ' ')}`
const short = (text) => (text.length > 28 ? `${text.slice(0, 13)}…` : text)
