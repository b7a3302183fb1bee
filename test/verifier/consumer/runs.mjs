import { createVerifier, TokenError } from '@latchkey/verifier'
import { createGuards } from '@latchkey/verifier/connect'
import { latchkey } from '@latchkey/verifier/fastify'

const { ISSUER: issuer, JWT_SECRET, TOKEN } = process.env
const rules = { issuer, audience: issuer, keys: { secrets: [JWT_SECRET] } }

const verifier = createVerifier({ ...rules, revocation: { mode: 'none' } })
await verifier.ready()
const { sid } = await verifier.verify(TOKEN)
const forged = await verifier
  .verify(`${TOKEN.slice(0, -4)}AAAA`)
  .catch((error) => error instanceof TokenError && error.code)
await verifier.close()

const follower = createVerifier({ ...rules, revocation: { mode: 'follow', redis: 'redis://127.0.0.1:9' } })
const withoutIoredis = await follower.ready().catch((error) => error.message)
await follower.close()

process.stdout.write(
  JSON.stringify({
    sid,
    forged,
    withoutIoredis,
    adapters: [typeof latchkey, typeof createGuards(verifier).requireToken],
  }),
)
