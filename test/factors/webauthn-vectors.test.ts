import { test } from 'tap'
import { createPasskeys } from '../../src/factors/passkeys.js'

// Web Authentication Level 3, §16.2: ES256 credential with no attestation. The RP ID is example.org (§16.1).
const REGISTRATION = {
  challenge: '00c30fb78531c464d2b6771dab8d7b603c01162f2fa486bea70f283ae556e130',
  id: 'f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4',
  clientDataJSON:
    '7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a22414d4d507434557878475453746e63647134313759' +
    '447742466938767049612d7077386f4f755657345441222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73' +
    '734f726967696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a534f4e206d617920626520657874656e6465642077' +
    '697468206164646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a20426b5165446a646354' +
    '427258426941774a544c453551227d',
  attestationObject:
    'a363666d74646e6f6e656761747453746d74a068617574684461746158a4bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2' +
    'e4b559000000008446ccb9ab1db374750b2367ff6f3a1f0020f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4a50102' +
    '03262001215820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61225820930a56b87a2fca66334b03458abf879717c1' +
    '2cc68ed73290af2e2664796b9220',
}
const AUTHENTICATION = {
  challenge: '39c0e7521417ba54d43e8dc95174f423dee9bf3cd804ff6d65c857c9abf4d408',
  clientDataJSON:
    '7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a224f63446e55685158756c5455506f334a5558543049393770' +
    '767a7a59425039745a63685879617630314167222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f72' +
    '6967696e223a66616c73657d',
  authenticatorData: 'bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000',
  signature:
    '3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd380221008480ac0f0b93538174f575bf11a1dd5d78c6e486' +
    '013f937295ea13653e331e87',
}

const base64url = (hex: string) => Buffer.from(hex, 'hex').toString('base64url')
/** The service's own challenges are texts. */
const isChallenge = (hex: string) => (challenge: string) => challenge === Buffer.from(hex, 'hex').toString()

test('the vectors of WebAuthn Level 3, §16.2: a credential with ES256 registers and signs in', async (t) => {
  const passkeys = createPasskeys({ id: 'example.org', origins: ['https://example.org'] })
  const envelope = { id: base64url(REGISTRATION.id), rawId: base64url(REGISTRATION.id), type: 'public-key' }
  const registered = await passkeys.verifyRegistration(
    {
      ...envelope,
      clientExtensionResults: {},
      response: {
        clientDataJSON: base64url(REGISTRATION.clientDataJSON),
        attestationObject: base64url(REGISTRATION.attestationObject),
      },
    },
    isChallenge(REGISTRATION.challenge),
  )
  if (!registered.isValid) throw new Error(registered.fault)
  // Its flags say that it may be synchronised.
  t.match(registered.passkey, { credentialId: envelope.id, counter: 0, isSynced: true })

  const sign = (changes: Partial<typeof AUTHENTICATION>, userVerification: 'required' | 'preferred') => {
    const { challenge, ...response } = { ...AUTHENTICATION, ...changes }
    return passkeys.verifyAuthentication(
      {
        ...envelope,
        clientExtensionResults: {},
        response: Object.fromEntries(Object.entries(response).map(([name, hex]) => [name, base64url(hex)])),
      },
      registered.passkey,
      { isChallenge: isChallenge(challenge), userVerification },
    )
  }
  t.match(await sign({}, 'preferred'), { isValid: true, counter: 0, isUserVerified: false })
  t.match(await sign({}, 'required'), { isValid: false, fault: 'user_not_verified' })
  t.match(await sign({ challenge: REGISTRATION.challenge }, 'preferred'), { isValid: false, fault: 'challenge' })
  const other = AUTHENTICATION.signature.replace(/87$/, '88')
  t.match(await sign({ signature: other }, 'preferred'), { isValid: false, fault: 'signature' })
})
