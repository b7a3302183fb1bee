import { replicaRaces } from './replica-races.js'

replicaRaces('redis')
