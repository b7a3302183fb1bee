import { command } from './command.js'

export const serve = command({
  about: 'Run the service; what is done when no command is named',
  details: 'Everything is set in the environment: .env.example has each name. SIGTERM ends it when requests are done.',
  async run() {
    // That module is the process: to load it is to start it.
    await import('../server.js')
    return undefined
  },
})
