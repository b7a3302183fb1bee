import { startNginx } from './nginx.js'
import { keepsTheRules } from './rules.js'

keepsTheRules({ name: 'nginx', start: startNginx, givesUpWithin: 5 })
