import { startHaproxy } from './haproxy.js'
import { keepsTheRules } from './rules.js'

keepsTheRules({ name: 'HAProxy', start: startHaproxy, givesUpWithin: 5 })
