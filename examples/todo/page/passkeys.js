// Passkeys: the browser's own functions (WebAuthn Level 3), with errors for people.

import { Refused, read, refused, request } from './session.js'

/** Whether this browser knows passkeys, and their JSON form. */
export const canUsePasskeys = Boolean(globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON)

/** Asks for the options of a sign-in, and the person for a passkey. Returns what the service checks. */
export async function usePasskey({ json = {}, headers = {} } = {}) {
  const response = await request('/auth/login/passkey/options', { method: 'POST', json, headers })
  const options = await read(response)
  if (!response.ok) throw refused(response, options)
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options)
  return (await inWords(() => navigator.credentials.get({ publicKey }))).toJSON()
}

export async function createPasskey(options) {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options)
  return (await inWords(() => navigator.credentials.create({ publicKey }))).toJSON()
}

async function inWords(ask) {
  try {
    return await ask()
  } catch ({ name, message }) {
    // The browser gives one error to a person who closed its dialog and to a device without a passkey.
    if (name === 'NotAllowedError') throw new Refused('No passkey was used. Try again, or choose another way.')
    if (name === 'InvalidStateError') throw new Refused('This device has a passkey for your account already.')
    throw new Refused(`The browser cannot use a passkey here: ${message}`)
  }
}
