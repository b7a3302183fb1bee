import { startApacheOpenidc } from './apache.js'
import { keepsTheRules } from './rules.js'

keepsTheRules({ name: 'Apache, mod_auth_openidc', start: startApacheOpenidc, givesUpWithin: 5 })
