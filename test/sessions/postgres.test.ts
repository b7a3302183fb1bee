import { sessionRaces } from '../support/races.js'
import { sessionContract } from '../support/session-store-contract.js'

sessionContract('postgres')
sessionRaces('postgres')
