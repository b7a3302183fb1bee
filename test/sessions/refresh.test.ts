import { type Test, test } from 'tap'
import { type Answer, type Api, PatientCaller } from '../support/api.js'
import { expectEvents } from '../support/audit-events.js'
import { eventually } from '../support/eventually.js'
import { PASSWORD, startService, startServiceWith, stores } from '../support/service.js'

/** Replays a token until its grace is over, and returns the answer. A replay within the grace changes nothing. */
async function replayAfterGrace(api: Api, token: string): Promise<Answer> {
  let answer = await api.refresh(token)
  await eventually(async () => {
    answer = await api.refresh(token)
    return answer.status !== 200
  })
  return answer
}

const REFUSED = { error: 'invalid_grant', error_description: 'the refresh token is not valid: sign in again' }

for (const store of stores) {
  test(`${store}: R1: one token presented 20 times at once to two replicas has one successor`, async (t) => {
    const first = await startService(t, store)
    const second = await startServiceWith(t, first.env)
    await first.api.signUp('ada', PASSWORD)
    let { refresh_token: token, sid } = await first.api.tokens('ada', PASSWORD)
    const caller = new PatientCaller()

    for (let round = 0; round < 5; round += 1) {
      const replica = (i: number) => (i % 2 ? first : second).once
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, i) => caller.ask(() => replica(i).refresh(token))),
      )

      t.strictSame(new Set(answers.map(({ status }) => status)), new Set([200]))
      const successors = new Set(answers.map(({ body }) => body.refresh_token))
      t.equal(successors.size, 1)
      t.strictSame(new Set(answers.map(({ body }) => body.sid)), new Set([sid]))
      for (const { body } of answers) t.equal(await second.api.isActive(body.access_token), true)
      token = [...successors][0]
    }
    const rotated = first.audited('refresh.rotated').length + second.audited('refresh.rotated').length
    t.ok(rotated <= 5 && rotated >= 5 - caller.unanswered, `${rotated} rotations`)
  })

  test(`${store}: R2: a retry after a lost answer gets the same successor, byte for byte`, async (t) => {
    const { api, audited } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { refresh_token: token } = await api.tokens('ada', PASSWORD)
    const lost = await api.refresh(token)

    const again = await api.refresh(token)
    const asBearer = await api.call('/refresh', { method: 'POST', bearer: token })

    for (const answer of [again, asBearer]) {
      t.equal(answer.status, 200)
      t.equal(answer.body.refresh_token, lost.body.refresh_token)
      t.equal(await api.isActive(answer.body.access_token), true)
    }
    t.equal((await api.refresh(again.body.refresh_token)).status, 200)
    t.equal(audited('refresh.replayed').length, 2)
    t.equal(audited('refresh.reused').length, 0)
  })

  test(`${store}: R3: a refresh token replayed after the grace ends the session and its access tokens`, async (t) => {
    const { api, audited } = await startService(t, store, { REFRESH_GRACE: '1s' })
    await api.signUp('ada', PASSWORD)
    const stolen = await api.tokens('ada', PASSWORD)
    const other = await api.tokens('ada', PASSWORD)
    const rotated = performance.now()
    const next = (await api.refresh(stolen.refresh_token)).body
    const retry = await api.refresh(stolen.refresh_token)
    if (performance.now() - rotated < 1000) t.equal(retry.status, 200, 'within the grace it is a retry')
    isRefused(t, await replayAfterGrace(api, stolen.refresh_token))
    for (const token of [stolen.access_token, next.access_token]) t.equal(await api.isActive(token), false)
    isRefused(t, await api.refresh(next.refresh_token))
    t.equal((await api.call('/sessions', { bearer: next.access_token })).status, 401)
    t.equal(await api.isActive(other.access_token), true, 'the user’s other session lives')
    expectEvents(t, audited('refresh.reused'), [{ sid: stolen.sid, generation: 0 }])
    expectEvents(t, audited('session.ended'), [{ sids: [stolen.sid], reason: 'reuse' }])
  })

  test(`${store}: R4: a token two generations old ends the session, also within the grace`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const first = await api.tokens('ada', PASSWORD)
    const second = (await api.refresh(first.refresh_token)).body
    const third = (await api.refresh(second.refresh_token)).body

    isRefused(t, await api.refresh(first.refresh_token))

    for (const token of [first, second, third]) {
      t.equal(await api.isActive(token.access_token), false)
      isRefused(t, await api.refresh(token.refresh_token))
    }
  })

  test(`${store}: R3, R4: an old token that asks for more than the session has proves reuse too; the current token is not spent`, async (t) => {
    const { api, audited } = await startService(t, store, { REFRESH_GRACE: '1s', AUDIENCE: 'web,todo' })
    await api.signUp('ada', PASSWORD)
    const excesses = [
      [{ scope: 'todo:read mail:send' }, 'invalid_scope'],
      [{ audience: 'todo' }, 'invalid_target'],
    ] as const
    const sids: string[] = []
    for (const [excess, error] of excesses) {
      const ask = (token: string) => api.call('/refresh', { json: { refresh_token: token, ...excess } })
      const first = await api.tokens('ada', PASSWORD, { scope: 'todo:read' })
      sids.push(first.sid)
      t.match(await ask(first.refresh_token), { status: 400, body: { error } })
      const rotated = performance.now()
      const second = (await api.refresh(first.refresh_token)).body
      const retry = await ask(first.refresh_token)
      if (performance.now() - rotated < 1000) t.match(retry, { status: 400, body: { error } }, 'within the grace')
      t.match(await ask(second.refresh_token), { status: 400, body: { error } })

      let old = retry
      await eventually(async () => {
        old = await ask(first.refresh_token)
        return old.body.error !== error
      })
      isRefused(t, old)
      t.equal(await api.isActive(second.access_token), false)
    }
    t.strictSame(
      audited('refresh.reused').map(({ sid }) => sid),
      sids,
    )
  })

  test(`${store}: R5: thief and victim share one lineage within the grace; the next late replay ends it`, async (t) => {
    const { api } = await startService(t, store, { REFRESH_GRACE: '1s' })
    await api.signUp('ada', PASSWORD)
    const { refresh_token: shared } = await api.tokens('ada', PASSWORD)

    const [thief, victim] = (await Promise.all([api.refresh(shared), api.refresh(shared)])).map(({ body }) => body)
    t.equal(thief.refresh_token, victim.refresh_token, 'no fork')
    const victimNext = (await api.refresh(victim.refresh_token)).body
    isRefused(t, await replayAfterGrace(api, thief.refresh_token))

    for (const { access_token } of [thief, victim, victimNext]) t.equal(await api.isActive(access_token), false)
    isRefused(t, await api.refresh(victimNext.refresh_token))
  })

  test(`${store}: R8: a hundred replays of a dead token write one event, and reveal nothing`, async (t) => {
    const { api, once, audited } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const first = await api.tokens('ada', PASSWORD)
    const second = (await api.refresh(first.refresh_token)).body
    await api.refresh(second.refresh_token)

    const caller = new PatientCaller()
    const replay = () => caller.ask(() => once.refresh(first.refresh_token))
    const atOnce = await Promise.all(Array.from({ length: 50 }, replay))
    const after: Answer[] = []
    while (after.length < 50) after.push(await replay())

    for (const answer of [...atOnce, ...after]) isRefused(t, answer)
    // A request that got 503 may have ended the session, or has logged the reuse that the next one logs too.
    const [reused, ended] = [audited('refresh.reused').length, audited('session.ended').length]
    t.ok(reused >= 1 && reused <= 1 + caller.unanswered, `${reused} events`)
    t.ok(ended <= 1 && ended >= 1 - caller.unanswered, `${ended} ends`)
  })

  test(`${store}: a forged refresh token is refused like any other bad token`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { refresh_token: token, access_token: access } = await api.tokens('ada', PASSWORD)

    for (const forged of [`${token.slice(0, -1)}x`, 'lkr_', access, 'x', `lkr_${'A'.repeat(99)}`]) {
      isRefused(t, await api.refresh(forged))
    }
    t.equal((await api.refresh(token)).status, 200, 'nothing was revoked')
  })
}

function isRefused(t: Test, { status, body, headers }: Answer): void {
  t.strictSame({ status, body, store: headers['cache-control'] }, { status: 400, body: REFUSED, store: 'no-store' })
}
