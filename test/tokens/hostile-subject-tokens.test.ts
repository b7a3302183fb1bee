import { createServer } from 'node:http'
import { test } from 'tap'
import { createClient } from '../support/clients.js'
import { claimsOf } from '../support/decode.js'
import { exchange } from '../support/exchange.js'
import { byCase, Forger, hostileTokens } from '../support/hostile/tokens.js'
import { JWT_SECRET, PASSWORD, startService } from '../support/service.js'

test('J1–J35: a subject token with one defect is not exchanged, and the answer is the same for each', async (t) => {
  let calls = 0
  const canary = createServer((_request, response) => {
    calls += 1
    response.end()
  })
  await new Promise<void>((resolve) => canary.listen(0, '127.0.0.1', resolve))
  t.teardown(() => canary.close())
  const { api, env, log } = await startService(t, 'sqlite', {
    LOG_LEVEL: 'warn',
    AUDIENCE: 'http://latchkey.test,todo',
  })
  const gateway = await createClient(env, 'gateway', { exchangeAudiences: ['todo'] })
  await api.signUp('ada', PASSWORD)
  const { access_token } = await api.tokens('ada', PASSWORD)
  const address = `http://127.0.0.1:${(canary.address() as { port: number }).port}`
  const forger = new Forger(JWT_SECRET, claimsOf(access_token), address)
  const ask = (token: string) => exchange(api, gateway, token, { audience: 'todo' })
  t.equal((await ask(forger.token())).status, 200, 'with no defect it is exchanged')

  const refused = (await ask('x')).text
  for (const [id, tokens] of byCase(hostileTokens(forger))) {
    const wrong: Record<string, string> = {}
    // A form cannot carry an empty token, and a token of white space alone is missing.
    const presentable = tokens.filter(({ token }) => token.length < 15_000 && token.trim() !== '')
    const answers = await Promise.all(presentable.map(async ({ token, what }) => ({ what, answer: await ask(token) })))
    for (const { what, answer } of answers) {
      if (answer.status !== 400 || answer.text !== refused) wrong[what] = `${answer.status} ${answer.text}`
    }
    t.strictSame(wrong, {}, `${id}: each of ${presentable.length}`)
  }
  t.equal(calls, 0, 'nobody called an address that a token names')
  t.strictSame(
    log.filter(({ level }) => (level as number) >= 50),
    [],
  )
  t.equal(await api.isActive(access_token), true)
})
