import { createVerifier, type TokenError } from '@latchkey/verifier'

const rules = { issuer: 'https://auth.example.com', audience: 'todo', keys: { secrets: ['secret'] } }

// @ts-expect-error revocation must be written out
createVerifier(rules)
// @ts-expect-error there is no such mode
createVerifier({ ...rules, revocation: { mode: 'hope' } })
// @ts-expect-error following needs a Redis
createVerifier({ ...rules, revocation: { mode: 'follow' } })
const introspect = { mode: 'introspect', endpoint: 'https://a', clientId: 'a', clientSecret: 'b' } as const
// @ts-expect-error how long an answer is remembered must be written out
createVerifier({ ...rules, revocation: introspect })
// @ts-expect-error 'none' follows nothing
createVerifier({ ...rules, revocation: { mode: 'none', redis: 'redis://localhost' } })
// @ts-expect-error there is no such option
createVerifier({ ...rules, audiences: ['todo'], revocation: { mode: 'none' } })

const verifier = createVerifier({ ...rules, revocation: { mode: 'none' } })
// @ts-expect-error claims come later
verifier.verify('token').sub
// @ts-expect-error there is no such code
export const isForged = (error: TokenError): boolean => error.code === 'forged'
