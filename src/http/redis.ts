import type { FastifyInstance } from 'fastify'
import type { RedisClient } from '../sessions/redis/client.js'

/**
 * Registers our client with @fastify/redis, as `app.redis`. The plugin would hold the start until Redis is ready, and would
 * close with `QUIT`, which fails while Redis is down: so it gets a proxy whose `status` is always `ready`, and the stores
 * use and close the client itself (docs/decisions/0004-own-redis-client.md).
 */
export async function registerRedis(app: FastifyInstance, client: RedisClient): Promise<void> {
  const announcedReady = new Proxy(client, {
    get(target, name) {
      if (name === 'status') return 'ready'
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  // Only services with Redis load the plugin, because it loads ioredis.
  const { default: fastifyRedis } = await import('@fastify/redis')
  await app.register(fastifyRedis, { client: announcedReady })
}
