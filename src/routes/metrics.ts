import type { FastifyPluginAsync } from 'fastify'

interface Needs {
  /** All metrics, and the media type that they are written in. */
  render: () => Promise<{ type: string; text: Buffer }>
}

/** `GET /metrics`, on the management port, for Prometheus. */
export const metrics: FastifyPluginAsync<Needs> = async (app, { render }) => {
  app.get('/metrics', async (_request, reply) => {
    const { type, text } = await render()
    return reply.type(type).send(text)
  })
}
