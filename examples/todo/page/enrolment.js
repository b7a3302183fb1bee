// Enrols a factor. `post(path, json)` sends the requests, with the access token of a session or the `mfa_token` of a sign-in.

import { createPasskey } from './passkeys.js'
import { Cancelled, Refused } from './session.js'
import { $, busily, closeOnCancel, say } from './view.js'

/** An authenticator app: shows its secret, and waits for the first code. Returns the answer of the service. */
export async function enrolApp(post) {
  const { secret, otpauth_uri: address } = await post('/auth/users/me/factors/totp')
  const dialog = $('app-dialog')
  await drawQrCode($('qr-code'), address)
  $('app-secret').textContent = secret.replace(/(.{4})(?=.)/g, '$1 ')
  $('app-form').reset()
  say('app-alert', '')
  $('copy-secret').onclick = () => copy($('copy-secret'), secret)

  let answer
  $('app-form').onsubmit = (event) => {
    event.preventDefault()
    busily(
      $('app-submit'),
      async () => {
        const totp = $('app-code').value.trim()
        if (!totp) throw new Refused('Enter the code that the app shows.')
        answer = await post('/auth/users/me/factors/totp/confirm', { totp })
        dialog.close()
      },
      'app-alert',
    )
  }
  dialog.showModal()
  $('app-code').focus()
  await closing(dialog)
  // The secret stays nowhere in the page.
  for (const id of ['app-secret', 'qr-code']) $(id).replaceChildren()
  if (!answer) throw new Cancelled()
  await showRecoveryCodes(answer.recovery_codes)
  return answer
}

export async function enrolPasskey(post, name) {
  const options = await post('/auth/users/me/factors/passkeys/options')
  const passkey = await createPasskey(options)
  const answer = await post('/auth/users/me/factors/passkeys', { passkey, name })
  await showRecoveryCodes(answer.recovery_codes)
  return answer
}

/** Shows the codes, once: the service keeps only their hashes. Waits until the person closes the dialog. */
export async function showRecoveryCodes(codes) {
  if (!codes) return
  const dialog = $('codes-dialog')
  $('codes').replaceChildren(
    ...codes.map((code) => {
      const item = document.createElement('li')
      item.textContent = code
      return item
    }),
  )
  $('copy-codes').onclick = () => copy($('copy-codes'), codes.join('\n'))
  dialog.showModal()
  await closing(dialog)
  $('codes').replaceChildren()
}

const closing = (dialog) => new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }))

async function copy(button, text) {
  const label = button.textContent
  await navigator.clipboard.writeText(text).then(
    () => (button.textContent = 'Copied'),
    () => (button.textContent = 'Select the text, and copy it'),
  )
  setTimeout(() => (button.textContent = label), 2000)
}

/** Draws the modules of the QR code as one path. The library is loaded with the first code. */
async function drawQrCode(svg, text) {
  const { generate } = await import('./lean-qr.js')
  const code = generate(text)
  const path = document.createElementNS(svg.namespaceURI, 'path')
  let modules = ''
  for (let y = 0; y < code.size; y += 1) {
    for (let x = 0; x < code.size; x += 1) if (code.get(x, y)) modules += `M${x} ${y}h1v1h-1z`
  }
  path.setAttribute('d', modules)
  // Four empty modules around the code (ISO/IEC 18004).
  svg.setAttribute('viewBox', `-4 -4 ${code.size + 8} ${code.size + 8}`)
  svg.replaceChildren(path)
}

closeOnCancel($('app-dialog'))
closeOnCancel($('codes-dialog'))
