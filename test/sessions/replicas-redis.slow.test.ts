import { replicaRaces } from '../support/replica-races.js'

replicaRaces('redis')
