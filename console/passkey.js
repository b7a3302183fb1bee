// Passkeys: the browser's own functions (WebAuthn Level 3), with errors for people.

/** Whether this browser knows passkeys, and their JSON form. */
export const canUsePasskeys = Boolean(globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON)

/** Asks the person for a passkey. Returns what the service checks. */
export async function provePasskey(options) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options)
  try {
    return (await navigator.credentials.get({ publicKey })).toJSON()
  } catch ({ name, message }) {
    // The browser gives one error to a person who closed its dialog and to a device without a passkey.
    if (name === 'NotAllowedError') throw new Error('No passkey was used. Try again, or choose another way.')
    throw new Error(`The browser cannot use a passkey here: ${message}`)
  }
}
