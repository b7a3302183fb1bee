const { createVerifier, TokenError } = require('@latchkey/verifier')
const { createGuards } = require('@latchkey/verifier/connect')
const { expect, test } = require('@jest/globals')

test('Jest, with its own require, verifies a token', async () => {
  const verifier = createVerifier(require('../options.cjs'))
  await verifier.ready()
  expect(await verifier.verify(process.env.TOKEN)).toMatchObject({ iss: process.env.ISSUER })
  await expect(verifier.verify('garbage')).rejects.toBeInstanceOf(TokenError)
  expect(typeof createGuards(verifier).requireToken).toBe('function')
  await verifier.close()
})
