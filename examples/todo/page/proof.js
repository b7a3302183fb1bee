// How a person proves who they are: with a code, a recovery code, a passkey or the password. The second step of the sign-in and
// the step-up share it.

import { canUsePasskeys, usePasskey } from './passkeys.js'
import {
  Cancelled,
  call,
  keep,
  oneTabAtATime,
  onStepUp,
  Refused,
  read,
  refused,
  renewIfExpired,
  request,
  SignedOut,
  signedIn,
} from './session.js'
import { $, busily, closeOnCancel } from './view.js'

const FIELDS = {
  totp: { label: 'Code of your authenticator app', autocomplete: 'one-time-code', inputMode: 'numeric', type: 'text' },
  recovery_code: { label: 'Recovery code', autocomplete: 'off', inputMode: 'text', type: 'text' },
  password: { label: 'Password', autocomplete: 'current-password', inputMode: 'text', type: 'password' },
}

/**
 * Gives a form one field for what is typed, a button for a passkey, and a link to the recovery code.
 *
 * @param prove takes what the person gave: its kind, and the typed text or the response of the passkey
 * @param passkeyRequest what `/login/passkey/options` takes to name the passkeys of the account
 */
export function proofForm(form, prove, passkeyRequest) {
  const [field, input, label] = ['.field', 'input', 'label'].map((name) => form.querySelector(name))
  const [submit, passkey, other] = ['.primary', '.passkey', '.other'].map((name) => form.querySelector(name))
  const alert = form.querySelector('.alert').id
  let kind
  let kinds = []

  function show(chosen) {
    kind = chosen
    field.hidden = submit.hidden = !kind
    // One button stands out: the passkey, if nothing is typed.
    passkey.classList.toggle('primary', !kind)
    const next = kinds.find((each) => each !== kind)
    other.hidden = !next
    other.textContent = next === 'recovery_code' ? 'Use a recovery code' : 'Use the authenticator app'
    if (!kind) return
    label.textContent = FIELDS[kind].label
    const { autocomplete, inputMode, type } = FIELDS[kind]
    Object.assign(input, { autocomplete, inputMode, type, value: '' })
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault()
    busily(
      submit,
      async () => {
        const text = input.value.trim()
        if (!text) throw new Refused(`${FIELDS[kind].label} is missing`)
        await prove(kind, kind === 'password' ? input.value : text)
      },
      alert,
    )
  })
  passkey.addEventListener('click', () =>
    busily(passkey, async () => prove('passkey', await usePasskey(await passkeyRequest())), alert),
  )
  other.addEventListener('click', () => {
    show(kinds.find((each) => each !== kind))
    input.focus()
  })

  return {
    /** @param types the factors that the account can send now, or `password` */
    start(types) {
      kinds = types.filter((type) => type in FIELDS)
      const hasPasskey = canUsePasskeys && types.includes('passkey')
      passkey.hidden = !hasPasskey
      // A recovery code is the last way, also if a passkey is the only other one.
      show(hasPasskey && kinds[0] === 'recovery_code' ? undefined : kinds[0])
      ;(kind ? input : passkey).focus()
    },
  }
}

// ---- Step-up (RFC 9470): the session stays, and gets new tokens

const steppingUp = proofForm(
  $('step-up-form'),
  async (kind, value) => {
    await oneTabAtATime(async () => {
      const session = signedIn()
      if (!session) throw new SignedOut()
      const headers = { authorization: `Bearer ${session.accessToken}` }
      const response = await request('/auth/login/step-up', { method: 'POST', json: { [kind]: value }, headers })
      const answer = await read(response)
      if (response.status === 401) throw new Refused(kind === 'password' ? 'The password is not right.' : WRONG_FACTOR)
      if (!response.ok) throw refused(response, answer)
      // Both tokens are new, and the old refresh token is spent.
      keep(answer, { username: session.username, renewals: session.renewals, renewedBy: session.renewedBy })
    })
    $('step-up').close('proved')
  },
  async () => ({ headers: { authorization: `Bearer ${(await renewIfExpired()).accessToken}` } }),
)

export const WRONG_FACTOR = 'That is not right, or it was used before. Try again.'

closeOnCancel($('step-up'))

onStepUp(async () => {
  const { factors, recovery_codes_left: codes } = await (await call('/auth/users/me/factors')).json()
  const types = ['totp', 'passkey'].filter((type) => factors.some((factor) => factor.type === type))
  if (codes > 0) types.push('recovery_code')
  const dialog = $('step-up')
  dialog.returnValue = ''
  dialog.showModal()
  steppingUp.start(types.length > 0 ? types : ['password'])
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }))
  if (dialog.returnValue !== 'proved') throw new Cancelled()
  return signedIn()
})
