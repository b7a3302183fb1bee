import { randomBytes, randomUUID } from 'node:crypto'
import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import { epochKey, feedKey } from '@latchkey/verifier/redis-keys'
import { Redis } from 'ioredis'
import { addDevelopmentSecrets } from '../src/config/development-secrets.js'
import { readConfig } from '../src/config/read.js'
import { connectRedis } from '../src/sessions/redis/client.js'
import { createRedisSessions } from '../src/sessions/redis/sessions.js'
import { createBenchTokens } from './seed.js'
import { environment, ISSUER } from './setting.js'

/** Fills the feed as an hour of use would. A follower looks up the tokens of a feed's first seconds. */
export async function seedFeed(redisUrl: string): Promise<void> {
  const redis = new Redis(redisUrl)
  const then = Math.floor(Date.now() / 1000) - 3600
  await redis.set(epochKey, then)
  await redis.xadd(feedKey, `${then}000-0`, 'hb', '960000', 'n', 'seed')
  redis.disconnect()
}

/** Creates sessions directly in Redis, without a sign-in, and signs their access tokens. Also writes heartbeats. */
export async function openSessions(redisUrl: string) {
  const config = addDevelopmentSecrets(readConfig(environment(redisUrl, 'sqlite:unused.db')))
  const connection = connectRedis({ mode: 'single', urls: [redisUrl] }, () => {})
  if (connection.status !== 'ready') await new Promise((resolve) => connection.once('ready', resolve))
  const sessions = createRedisSessions(connection, config)
  const tokens = createBenchTokens(config)
  return {
    async begin(): Promise<string> {
      const { session } = await sessions.create({
        sid: randomBytes(16).toString('base64url'),
        sub: randomUUID(),
        username: 'bench',
        clientId: FIRST_PARTY_CLIENT_ID,
        scope: 'todo:read todo:write',
        audience: ISSUER,
        roles: [],
        amr: ['pwd'],
        deviceName: 'bench',
        ip: '127.0.0.1',
        userAgent: 'bench',
      })
      return tokens.issue(session).token
    },
    async close() {
      await sessions.close()
      connection.disconnect()
    },
  }
}
