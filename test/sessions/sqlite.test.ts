import { sessionContract } from './contract.js'
import { sessionRaces } from './races.js'

sessionContract('sqlite')
sessionRaces('sqlite')
