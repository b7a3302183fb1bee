import type { FastifyPluginAsync } from 'fastify'

interface Dependencies {
  /** All metrics, and their media type. */
  render: () => Promise<{ type: string; text: Buffer }>
}

/** `GET /metrics`, on the management port, for Prometheus. */
export const metrics: FastifyPluginAsync<Dependencies> = async (app, { render }) => {
  app.get('/metrics', async (_request, reply) => {
    const { type, text } = await render()
    return reply.type(type).send(text)
  })
}
