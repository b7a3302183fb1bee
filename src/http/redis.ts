import type { FastifyInstance } from 'fastify'
import type { RedisClient } from '../sessions/redis/client.js'

/**
 * Registers our client with @fastify/redis, as `app.redis`. The plugin would delay the start until Redis is ready, so it gets a
 * proxy whose `status` is always `ready`. The plugin would also close the client with `QUIT`, which fails while Redis is down.
 * So the stores use and close the client itself (docs/decisions/0004-own-redis-client.md).
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
