import type { FastifyPluginAsync } from 'fastify'
import { console } from './console.js'
import { type HomeDependencies, home } from './home.js'

/** The pages that a person opens in a browser: the links at `/`, and the console if it is on. */
export const browserPages: FastifyPluginAsync<HomeDependencies> = async (app, { config }) => {
  await app.register(home, { config })
  if (config.console) await app.register(console)
}
