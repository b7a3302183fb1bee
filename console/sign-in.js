import { admin, codeOf, demand, keep, post, subject } from './api.js'
import { h } from './dom.js'
import { canUsePasskeys, provePasskey } from './passkey.js'

/** Shows the form, and calls `done` with a signed-in session. */
export function showSignIn(main, message, done) {
  const alert = h('p', { class: 'alert', role: 'alert', hidden: !message }, message ?? '')
  let step = password
  const fields = h('div', { class: 'fields' })
  const submit = h('button', { type: 'submit', class: 'primary' }, 'Sign in')
  const passkey = h('button', { type: 'button', click: () => attempt(withPasskey) }, 'Use a passkey')
  const form = h(
    'form',
    {
      class: 'card sign-in',
      'aria-labelledby': 'sign-in-title',
      submit: (event) => {
        event.preventDefault()
        attempt(() => step(Object.fromEntries(new FormData(form))))
      },
    },
    h('h1', { id: 'sign-in-title' }, 'Console'),
    h('p', { class: 'soft' }, 'For people with the role ', h('code', {}, 'latchkey-admin'), '.'),
    alert,
    fields,
    h('div', { class: 'stack' }, submit, canUsePasskeys && passkey),
  )
  let mfaToken
  let name
  restart()
  main.replaceChildren(form)
  fields.querySelector('input').focus()

  function restart() {
    mfaToken = undefined
    step = password
    submit.textContent = 'Sign in'
    passkey.textContent = 'Use a passkey'
    passkey.hidden = false
    setFields(
      { label: 'User name', name: 'username', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false' },
      { label: 'Password', name: 'password', type: 'password', autocomplete: 'current-password' },
    )
  }

  function setFields(...inputs) {
    fields.replaceChildren(
      ...inputs.map(({ label, ...input }) =>
        h('label', { class: 'field' }, h('span', {}, label), h('input', { ...input, required: true })),
      ),
    )
  }

  async function attempt(act) {
    if (form.hasAttribute('aria-busy')) return
    form.setAttribute('aria-busy', 'true')
    alert.hidden = true
    try {
      await act()
    } catch (error) {
      alert.textContent = error.message
      alert.hidden = false
      // A ticket lives for minutes. The person starts again with the password.
      if (mfaToken && error.status === 400 && error.code === 'invalid_grant') restart()
      form.querySelector('input[type=password], input[name=code]')?.select()
    } finally {
      form.removeAttribute('aria-busy')
    }
  }

  async function password({ username, password }) {
    name = username
    try {
      await finish(await post('login', { username, password, ...(await demand()) }))
    } catch (error) {
      if (error.code !== 'mfa_required') throw error
      if (error.body.factors.length === 0) {
        throw new Error('Your account must have a second factor. Enrol one in your application, then sign in here.')
      }
      mfaToken = error.body.mfa_token
      const { factors } = error.body
      const label = factors.includes('totp') ? 'Code of your app, or a recovery code' : 'Recovery code'
      setFields({ label, name: 'code', autocomplete: 'one-time-code' })
      passkey.hidden = !factors.includes('passkey')
      passkey.textContent = 'Use your passkey'
      // The passkey is there: one touch, instead of a code from paper.
      if (factors.includes('totp') || passkey.hidden || !canUsePasskeys) fields.querySelector('input').focus()
      else passkey.focus()
      submit.textContent = 'Continue'
      step = code
    }
  }

  async function code(values) {
    await finish(await post('login/mfa', { mfa_token: mfaToken, ...codeOf(values.code) }))
  }

  async function withPasskey() {
    const options = await post('login/passkey/options', mfaToken ? { mfa_token: mfaToken } : {})
    const json = { passkey: await provePasskey(options) }
    await finish(
      await (mfaToken
        ? post('login/mfa', { mfa_token: mfaToken, ...json })
        : post('login/passkey', { ...json, ...(await demand()) })),
    )
  }

  async function finish(tokens) {
    keep(tokens, name ?? 'Signed in')
    // A person who signs in with a passkey types no name.
    if (name === undefined) keep(tokens, (await admin(`users/${encodeURIComponent(subject())}`)).username)
    done()
  }
}
