import { doublingWait, forwardedAddresses, guessers, spray, thousandGuesses } from '../support/guesses.js'

// What `guesses.test.ts` leaves out.
thousandGuesses('sqlite', 250)
thousandGuesses('redis', 250, guessers.slice(0, 1))
for (const store of ['sqlite', 'redis'] as const) thousandGuesses(store, 1)
spray('redis')
doublingWait('redis')
forwardedAddresses('redis')
