import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { makeSignature } from 'better-auth/crypto'
import { toNodeHandler } from 'better-auth/node'
import { Redis } from 'ioredis'

/**
 * The peer: better-auth with its sessions in the same Redis, and its users in memory. Both help it, as pipelining does. The peer
 * writes the cookies of as many sessions as the service has into a file of the folder, and then listens.
 */
const { PORT, REDIS_URL, FOLDER, TOKENS } = process.env
const redis = new Redis(REDIS_URL, { keyPrefix: 'better-auth:', enableAutoPipelining: true })
const auth = betterAuth({
  baseURL: 'http://localhost:3000',
  secret: 'Zx8Kp5Ol1Pi4Uy7Tr2Ew9Qa3Sd6Fg0Hj',
  database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
  secondaryStorage: {
    get: (key) => redis.get(key),
    set: (key, value, seconds) => (seconds ? redis.set(key, value, 'EX', seconds) : redis.set(key, value)),
    delete: (key) => redis.del(key),
  },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
})

const { internalAdapter, secret, authCookies } = await auth.$context
const cookies = []
for (let i = 0; i < Number(TOKENS); i += 1) {
  const { id } = await internalAdapter.createUser({
    email: `user-${i}@example.com`,
    name: `user ${i}`,
    emailVerified: true,
  })
  const { token } = await internalAdapter.createSession(id)
  const value = encodeURIComponent(`${token}.${await makeSignature(token, secret)}`)
  cookies.push(`${authCookies.sessionToken.name}=${value}`)
}
writeFileSync(join(FOLDER, 'better-auth-cookies'), `${cookies.join('\n')}\n`)
createServer(toNodeHandler(auth)).listen(Number(PORT), '127.0.0.1')
