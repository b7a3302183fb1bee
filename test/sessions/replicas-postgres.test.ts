import { replicaRaces } from './replica-races.js'

replicaRaces('postgres')
