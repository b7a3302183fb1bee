import { sessionContract } from './contract.js'
import { sessionRaces } from './races.js'

sessionContract('redis')
sessionRaces('redis')
