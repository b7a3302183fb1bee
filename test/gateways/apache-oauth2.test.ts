import { startApacheOauth2 } from './apache.js'
import { keepsTheRules } from './rules.js'

// It waits 15 s for an answer, whatever it is told.
keepsTheRules({ name: 'Apache, mod_oauth2', start: startApacheOauth2, givesUpWithin: 20 })
