import { test } from 'tap'
import type { SessionStore } from '../../src/sessions/session.js'
import type { Store } from './service.js'
import { newSession, newUserId, openStore, presentGeneration, untilAnswered } from './stores.js'

const ROUNDS = 40

/** The rules of every store when two replicas of the service act at once. */
export function sessionRaces(store: Store): void {
  test(`${store}: R1: one of 50 simultaneous rotations of a generation succeeds, and all get its successor`, async (t) => {
    const { sessions, replica } = await openStore(t, store)
    const replicas = [sessions, await replica()]
    await untilAnswered(async () => {
      const { session } = await sessions.create(newSession(newUserId()))

      for (let generation = 0; generation < 5; generation += 1) {
        const rotations = await Promise.all(
          Array.from({ length: 50 }, (_, i) =>
            presentGeneration(pick(replicas, i), session.sub, session.sid, generation),
          ),
        )

        const outcomes = rotations.map(({ outcome }) => outcome).sort()
        t.strictSame(outcomes, [...Array(49).fill('replayed'), 'rotated'])
        const successors = rotations.map((rotation) => 'session' in rotation && rotation.session.generation)
        t.strictSame(new Set(successors), new Set([generation + 1]))
      }
      t.equal((await sessions.list(session.sub)).length, 1)
    })
  })

  test(`${store}: R6: a session that ends during its rotation leaves nothing`, async (t) => {
    const { sessions, replica } = await openStore(t, store)
    const other = await replica()
    for (let round = 0; round < ROUNDS; round += 1) {
      await untilAnswered(async () => {
        const { session } = await sessions.create(newSession(newUserId()))
        const { sub, sid } = session

        const [rotation] = await Promise.all([
          presentGeneration(sessions, sub, sid, 0),
          round % 2 ? other.revoke(sub, [sid]) : other.revokeAll(sub),
        ])

        if (!['rotated', 'unknown'].includes(rotation.outcome)) t.fail(`the rotation was ${rotation.outcome}`)
        for (const each of [sessions, other]) {
          if ((await each.findUsername(sub, sid)) !== undefined) t.fail('it has a holder')
          if ((await presentGeneration(each, sub, sid, 1)).outcome !== 'unknown') t.fail('its successor rotates')
          if ((await each.list(sub)).length > 0) t.fail('it is listed')
        }
      })
    }
  })

  test(`${store}: one of many simultaneous revocations of a session ends it`, async (t) => {
    const { sessions, replica } = await openStore(t, store)
    const replicas = [sessions, await replica()]
    for (let round = 0; round < ROUNDS; round += 1) {
      await untilAnswered(async () => {
        const { session } = await sessions.create(newSession(newUserId()))

        const ended = await Promise.all(
          Array.from({ length: 8 }, (_, i) => pick(replicas, i).revoke(session.sub, [session.sid])),
        )

        t.strictSame(ended.flat(), [session.sid])
      })
    }
  })

  test(`${store}: R13: simultaneous sign-ins leave the latest sessions, as many as the limit`, async (t) => {
    for (const sessionsPerUser of [1, 3]) {
      const { sessions, replica } = await openStore(t, store, { sessionsPerUser })
      const replicas = [sessions, await replica()]
      for (let round = 0; round < ROUNDS / 4; round += 1) {
        await untilAnswered(async () => {
          const sub = newUserId()
          for (let i = 0; i < sessionsPerUser; i += 1) await signIn(sessions, sub)

          await Promise.all(Array.from({ length: 10 }, (_, i) => signIn(pick(replicas, i), sub)))

          t.equal((await sessions.list(sub)).length, sessionsPerUser)
        })
      }
    }
  })

  test(`${store}: revokeAll, twice at once and during rotations, never fails and leaves nothing`, async (t) => {
    const { sessions, replica } = await openStore(t, store)
    const other = await replica()
    for (let round = 0; round < ROUNDS / 2; round += 1) {
      await untilAnswered(async () => {
        const sub = newUserId()
        const sids = await Promise.all(
          Array.from({ length: 8 }, async () => (await sessions.create(newSession(sub))).session.sid),
        )

        const [first, second] = await Promise.all([
          sessions.revokeAll(sub),
          other.revokeAll(sub),
          ...sids.map((sid, i) => presentGeneration(pick([sessions, other], i), sub, sid, 0)),
          other.revoke(sub, [...sids].reverse()),
        ])

        t.equal(new Set([...first, ...second]).size, first.length + second.length, 'none is ended twice')
        t.strictSame(await sessions.list(sub), [])
      })
    }
  })
}

async function signIn(sessions: SessionStore, sub: string): Promise<void> {
  const { excess } = await sessions.create(newSession(sub))
  await sessions.revoke(sub, excess)
}

function pick<Item>(items: readonly Item[], i: number): Item {
  return items[i % items.length] as Item
}
