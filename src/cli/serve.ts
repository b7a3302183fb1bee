import { command } from './command.js'

export const serve = command({
  about: 'Run the service; this is the default command',
  details:
    'The environment sets everything: see .env.example. SIGTERM stops the service after it has finished its requests.',
  async run() {
    // Loading this module starts the service.
    await import('../server.js')
    return undefined
  },
})
