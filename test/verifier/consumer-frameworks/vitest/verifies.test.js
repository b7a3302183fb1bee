import { createVerifier, TokenError } from '@latchkey/verifier'
import { createGuards } from '@latchkey/verifier/connect'
import { expect, test } from 'vitest'
import options from '../options.cjs'

test('Vitest verifies a token', async () => {
  const verifier = createVerifier(options)
  await verifier.ready()
  expect(await verifier.verify(process.env.TOKEN)).toMatchObject({ iss: process.env.ISSUER })
  await expect(verifier.verify('garbage')).rejects.toBeInstanceOf(TokenError)
  expect(typeof createGuards(verifier).requireToken).toBe('function')
  await verifier.close()
})
