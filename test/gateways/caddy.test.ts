import { startCaddy } from './caddy.js'
import { keepsTheRules } from './rules.js'

keepsTheRules({ name: 'Caddy', start: startCaddy, givesUpWithin: 5 })
