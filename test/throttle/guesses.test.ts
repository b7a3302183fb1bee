import { type Test, test } from 'tap'
import { untilAvailable } from '../support/api.js'
import { eventually } from '../support/eventually.js'
import {
  addressOf,
  doublingWait,
  forwardedAddresses,
  guessers,
  inParallel,
  loginFrom,
  PROXIED,
  spray,
  thousandGuesses,
} from '../support/guesses.js'
import { PASSWORD, type Store, startService } from '../support/service.js'

// L9, L11, L12 and H13: `guesses.slow.test.ts` has what these calls leave out.
thousandGuesses('redis', 250, guessers.slice(1))
spray('sqlite')
doublingWait('sqlite')
forwardedAddresses('sqlite')

// Without Redis the process counts guesses, whatever the database is.
const counters = ['sqlite', 'redis'] as const

test('L9: the right password works after the wait of Retry-After', async (t) => {
  // Each waits for 5 s.
  t.jobs = counters.length
  for (const store of counters) t.test(store, { buffered: true }, (t) => signsInAfterWait(t, store))
})

async function signsInAfterWait(t: Test, store: Store): Promise<void> {
  const { api } = await startService(t, store)
  await api.signUp('ada', PASSWORD)
  const ask = (password: string) => untilAvailable(() => api.login('ada', password))
  for (let i = 0; i < 5; i += 1) t.equal((await ask(`wrong ${i}`)).status, 401)
  const refused = await ask(PASSWORD)
  t.match(refused, {
    status: 429,
    headers: { 'retry-after': /^[1-5]$/ },
    body: { error: 'temporarily_unavailable', error_description: /^too many wrong passwords: try again in [1-5] s$/ },
  })
  const seconds = Number(refused.headers['retry-after'])
  const told = Date.now()

  let answer = refused
  await eventually(async () => {
    const asked = Date.now()
    answer = await api.login('ada', PASSWORD)
    if (answer.status === 429 && asked > told + seconds * 1000) t.fail(`refused ${asked - told} ms later`)
    return answer.status !== 429 && answer.status !== 503
  })

  t.equal(answer.status, 200)
  for (let i = 0; i < 4; i += 1) t.equal((await ask('wrong')).status, 401, 'the count starts again')
  t.equal((await ask(PASSWORD)).status, 200)
}

for (const store of counters) {
  test(`${store}: L12: an attacker cannot lock the victim out of a trusted address`, async (t) => {
    const { api } = await startService(t, store, PROXIED)
    await api.signUp('ada', PASSWORD)
    const home = '198.51.100.7'
    const signIn = (address: string, password: string) => untilAvailable(() => loginFrom(api, address, 'ada', password))
    t.equal((await signIn(home, PASSWORD)).status, 200)

    const guesses = await inParallel(300, 50, (i) => loginFrom(api, addressOf(i), 'ada', 'wrong'))

    // On a busy machine some guesses get 503. They are not compared and do not count, so a few more may be needed.
    let more = 300
    await eventually(async () => {
      const guess = await loginFrom(api, addressOf(more++), 'ada', 'wrong')
      guesses.push(guess)
      return guess.status === 429
    })
    const compared = guesses.filter(({ status }) => status === 401).length
    t.ok(compared <= 100, `the account stops the guesses, because each guess has its own address: ${compared} compared`)
    t.equal((await signIn(home, PASSWORD)).status, 200, 'she signs in where she always does')
    t.equal((await signIn(home, 'mistyped')).status, 401)
    t.equal((await signIn(home, PASSWORD)).status, 200, 'also after a mistake')
    t.equal((await signIn('198.51.100.8', PASSWORD)).status, 429, 'elsewhere it has to wait')
  })
}
