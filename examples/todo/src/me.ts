import type { FastifyPluginAsync } from 'fastify'
import type { TokenServiceClient } from './client.js'

/** `GET /me`: the name of the signed-in person, who typed none if a passkey signed in. Behind the guard. */
export const me: FastifyPluginAsync<{ client: TokenServiceClient }> = async (app, { client }) => {
  app.get('/me', async (request) => {
    // The guard accepted this header.
    const token = request.headers.authorization?.replace(/^bearer +/i, '') ?? ''
    return { username: (await client.findUsername(token)) ?? '' }
  })
}
