import { codeOf, demand, keep, post } from './api.js'
import { h } from './dom.js'

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
    h('div', { class: 'stack' }, submit, globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON && passkey),
  )
  setFields(
    { label: 'User name', name: 'username', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false' },
    { label: 'Password', name: 'password', type: 'password', autocomplete: 'current-password' },
  )
  main.replaceChildren(form)
  fields.querySelector('input').focus()

  let mfaToken
  let name

  function setFields(...inputs) {
    fields.replaceChildren(
      ...inputs.map(({ label, ...input }) =>
        h('label', { class: 'field' }, h('span', {}, label), h('input', { ...input, required: true })),
      ),
    )
  }

  async function attempt(act) {
    submit.disabled = true
    alert.hidden = true
    try {
      await act()
    } catch (error) {
      alert.textContent = error.message
      alert.hidden = false
    } finally {
      submit.disabled = false
    }
  }

  async function password({ username, password }) {
    name = username
    try {
      finish(await post('login', { username, password, ...(await demand()) }))
    } catch (error) {
      if (error.code !== 'mfa_required') throw error
      if (error.body.factors.length === 0) {
        throw new Error('Your account must have a second factor. Enrol one in your application, then sign in here.')
      }
      mfaToken = error.body.mfa_token
      setFields({ label: 'Code of your app, or a recovery code', name: 'code', autocomplete: 'one-time-code' })
      fields.querySelector('input').focus()
      submit.textContent = 'Continue'
      step = code
    }
  }

  async function code(values) {
    finish(await post('login/mfa', { mfa_token: mfaToken, ...codeOf(values.code) }))
  }

  async function withPasskey() {
    const options = await post('login/passkey/options', mfaToken ? { mfa_token: mfaToken } : {})
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options)
    const credential = await navigator.credentials.get({ publicKey }).catch(() => {
      throw new Error('No passkey was used. Try again, or use your password.')
    })
    const json = { passkey: credential.toJSON() }
    finish(
      await (mfaToken
        ? post('login/mfa', { mfa_token: mfaToken, ...json })
        : post('login/passkey', { ...json, ...(await demand()) })),
    )
  }

  function finish(tokens) {
    keep(tokens, name ?? 'Signed in')
    done()
  }
}
