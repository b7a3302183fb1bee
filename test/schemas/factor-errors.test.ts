import { test } from 'tap'
import * as documented from '../../schemas/factor-errors.js'
import { refusal } from '../../src/http/errors.js'

test('the errors in the API document of the factor routes are what the service says', async (t) => {
  const said = [
    refusal.wrongFactor(),
    refusal.invalidMfaToken(),
    refusal.invalidPasskey(),
    refusal.tooManyCodes(5),
    refusal.insufficientAuthentication({ acr: '2', maxAge: 300 }),
    refusal.invalidToken(),
    refusal.factorsChanged(),
    refusal.lastFactor(),
    refusal.passkeyTaken(),
    refusal.tooManyPasskeys(20),
    refusal.noSuchFactor(),
    refusal.noFactors(),
    refusal.totpIsOff(),
    refusal.invalidRecoveryToken(),
    refusal.noSuch('account'),
  ].map(({ code, message }) => `${code}: ${message}`)
  for (const [name, { examples }] of Object.entries(documented)) {
    for (const [error, text] of examples) {
      // A route has its own words for a malformed request.
      if (error !== 'invalid_request') t.ok(said.includes(`${error}: ${text}`), `${name}: ${error}`)
    }
  }
})
