import { createVerifier, TokenError } from '@latchkey/verifier'
import { createGuards } from '@latchkey/verifier/connect'

const verifier = createVerifier({
  issuer: 'https://auth.example.com',
  audience: 'todo',
  keys: { secrets: [process.env.JWT_SECRET] },
  revocation: { mode: 'none' },
})
createGuards(verifier)
verifier.verify('').catch((error: unknown) => error instanceof TokenError && error.code)
