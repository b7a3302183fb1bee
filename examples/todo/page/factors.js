// The card with the factors of the signed-in person.

import { enrolApp, enrolPasskey, showRecoveryCodes } from './enrolment.js'
import { canUsePasskeys } from './passkeys.js'
import { call, signedIn } from './session.js'
import { $, ago, busily, fromTemplate, mention, reconcile } from './view.js'
import { deviceName } from './welcome.js'

export const factors = { list: undefined, codesLeft: 0 }

export async function loadFactors() {
  const sid = signedIn()?.sid
  const answer = await (await call('/auth/users/me/factors')).json()
  if (sid !== signedIn()?.sid) return
  factors.list = answer.factors
  factors.codesLeft = answer.recovery_codes_left
  drawFactors()
}

export function drawFactors() {
  const list = factors.list ?? []
  const hasApp = list.some(({ type }) => type === 'totp')
  $('factors-loading').hidden = Boolean(factors.list)
  $('factors-empty').hidden = !factors.list || list.length > 0
  $('factor-state').textContent = list.length > 0 ? 'Two steps' : ''
  $('add-app').textContent = hasApp ? 'Replace the app' : 'Add an app'
  $('add-passkey').hidden = !canUsePasskeys
  const codes = { id: 'codes', type: 'recovery_codes', left: factors.codesLeft }
  reconcile($('factors'), list.length > 0 ? [...list, codes] : [], ({ id }) => id, createFactor, updateFactor)
}

const NAMES = { totp: 'Authenticator app', passkey: 'Passkey', recovery_codes: 'Recovery codes' }
const ICONS = { totp: '#icon-phone', passkey: '#icon-passkey', recovery_codes: '#icon-codes' }

function createFactor({ id, type, name }) {
  const item = fromTemplate('factor-template')
  item.querySelector('.device-name').textContent = NAMES[type]
  const label = name ? `${NAMES[type]}, ${name}` : NAMES[type]
  item.querySelector('use').setAttribute('href', ICONS[type])
  const button = item.querySelector('button')
  button.textContent = type === 'recovery_codes' ? 'Replace' : 'Remove'
  button.ariaLabel = `${button.textContent}: ${label}`
  button.addEventListener('click', () =>
    busily(button, async () => {
      if (type === 'recovery_codes') {
        const response = await call('/auth/users/me/factors/recovery-codes', { method: 'POST' })
        await showRecoveryCodes((await response.json()).recovery_codes)
        return changed('Your old recovery codes no longer work.')
      }
      await call(`/auth/users/me/factors/${id}`, { method: 'DELETE' })
      await changed(`${label} is removed.`)
    }),
  )
  return item
}

function updateFactor(item, factor) {
  item.querySelector('.fine').textContent = describe(factor)
}

function describe({ type, name, left, created_at: created, last_used_at: used }) {
  if (type === 'recovery_codes') return `${left} of 10 left`
  const now = Date.now() / 1000
  const when = used ? `used ${ago(now - used)}` : `added ${ago(now - created)}`
  return name ? `${name} · ${when}` : when
}

/** Each change ends the other sessions of the person, so that a thief who has one loses it. */
async function changed(what) {
  await loadFactors()
  $('factors-title').focus()
  mention(`${what} Your other devices are signed out.`)
}

const post = async (path, json) => (await call(path, { method: 'POST', json })).json()

$('add-app').addEventListener('click', () =>
  busily($('add-app'), async () => {
    await enrolApp(post)
    await changed('The app is added.')
  }),
)
$('add-passkey').addEventListener('click', () =>
  busily($('add-passkey'), async () => {
    await enrolPasskey(post, deviceName())
    await changed('The passkey is added.')
  }),
)
