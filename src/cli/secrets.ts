import { readDataSecrets } from '../config/read.js'
import { command, group } from './command.js'
import { withServices } from './services.js'

const reseal = command({
  about: 'Seal the TOTP secrets in the database with the first secret of DATA_SECRET',
  details: `
To replace DATA_SECRET:

1. Put the new secret before the old one, and restart the service:  DATA_SECRET=NEW,OLD
2. Seal again:  latchkey secrets reseal
3. Remove the old secret, and restart the service.

The service may run meanwhile. A command that was interrupted may run again.`,
  async run() {
    const dataSecrets = readDataSecrets(process.env)
    // Loaded here: --help needs neither.
    const [{ createFactors }, { createSealing }] = await Promise.all([
      import('../factors/factors.js'),
      import('../factors/sealing.js'),
    ])
    const sealing = createSealing(dataSecrets)
    const resealed = await withServices(async ({ database }) => {
      const factors = createFactors(database, sealing)
      let count = 0
      for (let after: string | undefined = ''; after !== undefined; ) {
        const page = await factors.reseal(after)
        count += page.resealed
        after = page.last
      }
      return count
    })
    return {
      text: `${resealed} TOTP secrets are sealed with the first secret now. The other secrets seal nothing any more.`,
      json: { resealed },
    }
  },
})

export const secrets = group('Manage the secrets that seal data', { reseal })
