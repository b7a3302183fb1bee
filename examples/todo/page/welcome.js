// The sign-in: a password or a passkey, the second step, a new account, and a forgotten password.

import { enrolApp, enrolPasskey } from './enrolment.js'
import { canUsePasskeys, usePasskey } from './passkeys.js'
import { proofForm, WRONG_FACTOR } from './proof.js'
import { keep, Refused, read, refused, request, TAB } from './session.js'
import { $, busily, say } from './view.js'

/** The audience of the todo service. */
const AUDIENCE = 'todo'
const FORMS = ['credentials', 'second-step', 'enrol', 'forgot', 'reset']

let isNew = false

/** Shows one form of the card: `sign-in` and `sign-up` are the same one. */
export function mode(name) {
  isNew = name === 'sign-up'
  const shown = FORMS.includes(name) ? name : 'credentials'
  for (const id of FORMS) {
    $(id).hidden = id !== shown
    say(`${id}-alert`, '')
  }
  const title = isNew ? 'Create an account' : 'Sign in'
  $('welcome-title').textContent = $('submit').textContent = title
  $('switch-text').textContent = isNew ? 'Have one already?' : 'New here?'
  $('switch').textContent = isNew ? 'Sign in' : 'Create an account'
  $('with-passkey').hidden = isNew || !canUsePasskeys
  $('to-forgot').hidden = isNew
  $('password').autocomplete = isNew ? 'new-password' : 'current-password'
  $('password-hint').hidden = !isNew
  if (isNew) $('password').setAttribute('aria-describedby', 'password-hint')
  else $('password').removeAttribute('aria-describedby')
  for (const button of document.querySelectorAll('.reveal')) reveal(button, false)
}

/** Shows or hides what is typed into the field beside the button. */
function reveal(button, isPlain) {
  button.previousElementSibling.type = isPlain ? 'text' : 'password'
  button.textContent = isPlain ? 'Hide' : 'Show'
  button.ariaPressed = String(isPlain)
}
for (const button of document.querySelectorAll('.reveal')) {
  button.addEventListener('click', () => reveal(button, button.previousElementSibling.type === 'password'))
}

/** Takes the text of a field. Moves the focus there if it is empty. */
function required(id, message) {
  const { value } = $(id)
  if (value.trim()) return value
  $(id).focus()
  throw new Refused(message)
}

async function post(path, json, headers) {
  const response = await request(path, { method: 'POST', json, headers })
  return { response, answer: await read(response) }
}

// ---- The password

async function enter() {
  const username = required('name', 'Enter a user name.').trim()
  const password = required('password', 'Enter your password.')
  if (isNew) {
    const { response, answer } = await post('/auth/users', { username, password })
    if (!response.ok) throw refused(response, answer)
    // The account exists now. If the sign-in fails, a retry must sign in and not sign up.
    mode('sign-in')
  }
  const { response, answer } = await post('/auth/login', { username, password, ...thisDevice() })
  if (response.status === 401) throw new Refused('The user name or the password is not right.')
  if (answer.error === 'mfa_required') return askForFactor(username, answer)
  if (!response.ok) throw refused(response, answer)
  begin(username, answer)
}

const thisDevice = () => ({ audience: AUDIENCE, device_name: deviceName() })

const begin = (username, tokens) => keep(tokens, { username, renewals: 0, renewedBy: TAB })

$('credentials').addEventListener('submit', (event) => {
  event.preventDefault()
  busily($('submit'), enter, 'credentials-alert')
})
$('switch').addEventListener('click', () => {
  mode(isNew ? 'sign-in' : 'sign-up')
  $('name').focus()
})

// ---- The second step

/** The sign-in after its password: the name, and the `mfa_token`. */
let pending

function askForFactor(username, { mfa_token, factors }) {
  pending = { username, mfa_token }
  say('notice', '')
  // The password proved what it can: the page does not keep it.
  $('credentials').reset()
  if (factors.length === 0) {
    mode('enrol')
    $('enrol-app').focus()
  } else {
    mode('second-step')
    secondStep.start(factors)
  }
}

const secondStep = proofForm(
  $('second-step'),
  async (kind, value) => {
    const { username, mfa_token } = pending
    const { response, answer } = await post('/auth/login/mfa', { mfa_token, [kind]: value })
    if (response.status === 401) throw new Refused(WRONG_FACTOR)
    // The password changed, or five minutes are over.
    if (answer.error === 'invalid_grant') return startAgain('That took too long. Enter your password again.')
    if (!response.ok) throw refused(response, answer)
    begin(username, answer)
  },
  async () => ({ json: { mfa_token: pending.mfa_token } }),
)

function startAgain(message) {
  pending = undefined
  mode('sign-in')
  $('name').focus()
  say('credentials-alert', message)
}

for (const button of document.querySelectorAll('.back')) button.addEventListener('click', () => startAgain(''))

// ---- The first factor of an account that must have two

for (const [id, enrol] of [
  ['enrol-app', enrolApp],
  ['enrol-passkey', enrolPasskey],
]) {
  $(id).addEventListener('click', () =>
    busily(
      $(id),
      async () => {
        const { username, mfa_token } = pending
        const headers = { authorization: `Bearer ${mfa_token}` }
        const { tokens } = await enrol(async (path, json) => {
          const { response, answer } = await post(path, json, headers)
          if (response.status === 401) throw new Refused('That took too long. Start again')
          if (!response.ok) throw refused(response, answer)
          return answer
        }, deviceName())
        begin(username, tokens)
      },
      'enrol-alert',
    ),
  )
}

// ---- A passkey alone

$('with-passkey').addEventListener('click', () =>
  busily(
    $('with-passkey'),
    async () => {
      const passkey = await usePasskey()
      const { response, answer } = await post('/auth/login/passkey', { passkey, ...thisDevice() })
      if (response.status === 401) throw new Refused('This passkey does not open an account here.')
      if (!response.ok) throw refused(response, answer)
      // Nobody typed a name.
      const me = await request('/me', { headers: { authorization: `Bearer ${answer.access_token}` } })
      begin(me.ok ? (await read(me)).username : '', answer)
    },
    'credentials-alert',
  ),
)

// ---- A forgotten password

$('to-forgot').addEventListener('click', () => {
  $('forgot-name').value = $('name').value
  for (const id of ['forgot-sent', 'notice']) say(id, '')
  mode('forgot')
  $('forgot-name').focus()
})

$('forgot').addEventListener('submit', (event) => {
  event.preventDefault()
  busily(
    $('forgot-submit'),
    async () => {
      say('forgot-sent', '')
      const username = required('forgot-name', 'Enter your user name.').trim()
      const { response, answer } = await post('/forgot', { username })
      if (!response.ok) throw refused(response, answer)
      // The same for every name: the page does not tell who has an account.
      say(
        'forgot-sent',
        `If ${username} has an account, a mail with a link is on its way. The link is good for 15 minutes.`,
      )
    },
    'forgot-alert',
  )
})

/** The token of a link in a mail. */
let recoveryToken

/** Whether the page was opened by the link in a mail. The token stands in the fragment, which no server and no log sees. */
export function readRecoveryLink() {
  const [, token] = /^#reset=(.+)$/.exec(location.hash) ?? []
  if (token === undefined) return Boolean(recoveryToken)
  recoveryToken = token
  // Nobody finds the token in the history of the browser.
  history.replaceState(null, '', '/')
  return true
}

$('reset').addEventListener('submit', (event) => {
  event.preventDefault()
  busily(
    $('reset-submit'),
    async () => {
      const new_password = required('new-password', 'Enter a new password.')
      const { response, answer } = await post('/auth/recovery/complete', { token: recoveryToken, new_password })
      if (!response.ok) throw refused(response, answer)
      recoveryToken = undefined
      $('reset').reset()
      dispatchEvent(new Event('recovered'))
    },
    'reset-alert',
  )
})
$('leave-reset').addEventListener('click', () => {
  recoveryToken = undefined
  dispatchEvent(new Event('hashchange'))
})

/** The name of this device in the list of devices. */
export function deviceName() {
  const find = (names) => names.find(([pattern]) => pattern.test(navigator.userAgent))?.[1]
  const browser = find([
    [/Edg\//, 'Edge'],
    [/OPR\//, 'Opera'],
    [/Firefox\/|FxiOS\//, 'Firefox'],
    [/Chrom(e|ium)\/|CriOS\//, 'Chrome'],
    [/Safari\//, 'Safari'],
  ])
  const system = find([
    [/Android/, 'Android'],
    [/iPhone/, 'iPhone'],
    [/iPad/, 'iPad'],
    [/Windows/, 'Windows'],
    [/Mac OS X/, 'Mac'],
    [/CrOS/, 'ChromeOS'],
    [/Linux/, 'Linux'],
  ])
  return `${browser ?? 'A browser'} on ${system ?? 'some device'}`
}
