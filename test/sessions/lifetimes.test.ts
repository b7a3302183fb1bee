import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test, test } from 'tap'
import type { Api, Tokens } from '../support/api.js'
import { claimsOf } from '../support/decode.js'
import { PASSWORD, startService, stores } from '../support/service.js'

// The wire has whole seconds, and each store has its own clock. So the tests wait for real seconds, side by side.
t.jobs = 5

for (const store of stores) {
  test(`${store}: R9: an unused session ends on its second, and its access token with it`, {
    buffered: true,
  }, async (t) => {
    const { api } = await startService(t, store, { REFRESH_TTL: '3s', ACCESS_TTL: '15m' })
    await api.signUp('ada', PASSWORD)

    const tokens = await api.tokens('ada', PASSWORD)

    const { expires_at: end, created_at: created } = await current(api, tokens)
    t.equal(end - created, 3)
    t.equal(tokens.refresh_expires_in, 3)
    t.equal(expiry(tokens), end, 'the access token does not outlive it')
    t.ok(tokens.expires_in <= 3)
    await isAliveUntil(t, api, tokens, end)
    t.equal((await api.refresh(tokens.refresh_token)).status, 400)
  })

  test(`${store}: R9: a refresh extends an idle session; a replay and a look-up do not`, {
    buffered: true,
  }, async (t) => {
    const { api } = await startService(t, store, { REFRESH_TTL: '4s' })
    await api.signUp('ada', PASSWORD)
    const first = await api.tokens('ada', PASSWORD)
    await sleep(1000)

    const second: Tokens = (await api.refresh(first.refresh_token)).body
    const { expires_at: end, last_seen_at: seen } = await current(api, second)
    t.equal(end - seen, 4)
    t.equal(second.refresh_expires_in, 4)
    await sleep(1500)
    const replayed: Tokens = (await api.refresh(first.refresh_token)).body

    t.ok(replayed.refresh_expires_in <= 2, `${replayed.refresh_expires_in} s are left of four`)
    t.equal((await current(api, replayed)).expires_at, end)
    t.ok(expiry(replayed) <= end)
    await isAliveUntil(t, api, replayed, end)
    t.equal((await api.refresh(replayed.refresh_token)).status, 400)
  })

  test(`${store}: R9: a session in constant use ends at its maximum age, on its second`, {
    buffered: true,
  }, async (t) => {
    const { api } = await startService(t, store, { REFRESH_TTL: '6s', SESSION_MAX_AGE: '8s' })
    await api.signUp('ada', PASSWORD)
    let tokens = await api.tokens('ada', PASSWORD)
    const end = (await current(api, tokens)).created_at + 8
    const refresh = async () => {
      const answer = await api.refresh(tokens.refresh_token)
      if (answer.status !== 200) throw new Error(`refresh answered ${answer.text}`)
      tokens = answer.body
      t.ok(expiry(tokens) <= end)
      t.ok(tokens.refresh_expires_in <= 6)
    }

    // The last use is well before the end, because a slow machine still has to look.
    while (Date.now() < (end - 5) * 1000) {
      await refresh()
      await sleep(400)
    }
    await refresh()

    t.equal((await current(api, tokens)).expires_at, end)
    t.equal(expiry(tokens), end)
    await isAliveUntil(t, api, tokens, end)
    t.equal((await api.refresh(tokens.refresh_token)).status, 400)
  })
}

async function current(api: Api, { access_token: bearer }: Tokens) {
  const { body } = await api.call('/sessions', { bearer })
  return body.sessions.find((session: { current: boolean }) => session.current)
}

/** The `exp` of the access token in Unix seconds. */
function expiry({ access_token: token }: Tokens): number {
  return claimsOf(token).exp
}

/** Polls until the session ends. It must end within the second after `end`, because the wire hides its milliseconds. */
async function isAliveUntil(t: Test, api: Api, { access_token: token }: Tokens, end: number): Promise<void> {
  for (;;) {
    const asked = Date.now()
    const isActive = await api.isActive(token)
    const answered = Date.now()
    if (isActive && asked >= end * 1000) throw new Error(`active ${asked - end * 1000} ms after its end`)
    if (!isActive && answered < end * 1000) throw new Error(`inactive ${end * 1000 - answered} ms before its end`)
    if (!isActive) break
    await sleep(20)
  }
  t.pass('active until its end, and no longer')
  await sleep(Math.max(0, (end + 1) * 1000 - Date.now()))
}
