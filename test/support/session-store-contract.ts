import { type Test, test } from 'tap'
import type { FeedEntry, FeedStart, Revocation } from '../../src/sessions/feed.js'
import type { IssuableSession, Rotation } from '../../src/sessions/session.js'
import type { Store } from './service.js'
import { newSession, newUserId, openStore, presentGeneration } from './stores.js'

const HOUR = 3_600_000

/** The rules of every `SessionStore`. */
export function sessionContract(store: Store): void {
  test(`${store}: a new session is found, with all its values`, async (t) => {
    const { sessions } = await openStore(t, store)
    const begun = newSession(newUserId())

    const { session, excess } = await sessions.create(begun)

    t.match(session, { ...begun, generation: 0 })
    t.equal(session.lastSeenAt, session.createdAt)
    t.equal(session.expiresAt, session.createdAt + HOUR)
    t.ok(Math.abs(session.createdAt - Date.now()) < 5000)
    t.strictSame(excess, [])
    t.equal(await sessions.findUsername(begun.sub, begun.sid), 'ada')
    t.strictSame(await sessions.list(begun.sub), [session])
  })

  test(`${store}: live sessions of all users are counted`, async (t) => {
    const { sessions, age } = await openStore(t, store)
    t.equal(await sessions.count(), 0)
    const [one] = [await sessions.create(newSession(newUserId())), await sessions.create(newSession(newUserId()))]
    t.equal(await sessions.count(), 2)
    await sessions.revoke(one.session.sub, [one.session.sid])
    t.equal(await sessions.count(), 1)
    await age(HOUR)
    t.equal(await sessions.count(), 0)
  })

  test(`${store}: empty values, absent values and every script are read unchanged`, async (t) => {
    const { sessions } = await openStore(t, store)
    const begun = newSession(newUserId(), {
      username: 'Ώδα 𝕒',
      scope: '',
      roles: [],
      deviceName: null,
      userAgent: null,
      ip: '2001:db8::1',
    })

    await sessions.create(begun)

    t.match((await sessions.list(begun.sub))[0], begun)
    const { username, deviceName, ip, userAgent, ...grant } = begun
    t.match(await presentGeneration(sessions, begun.sub, begun.sid, 0), { outcome: 'rotated', session: grant })
  })

  test(`${store}: an authentication in a session renews its time, methods and refresh token, and nothing else`, async (t) => {
    const { sessions, age } = await openStore(t, store)
    const { session } = await sessions.create(newSession(newUserId(), { amr: ['hwk', 'mfa'] }))
    const { sub, sid } = session
    t.equal(session.authenticatedAt, session.createdAt)
    await age(60_000)
    const rotated = await presentGeneration(sessions, sub, sid, 0)
    t.match(rotated, { session: { amr: ['hwk', 'mfa'], authenticatedAt: session.authenticatedAt - 60_000 } })

    const stronger = await sessions.reauthenticate(sub, sid, ['pwd', 'otp', 'mfa'])

    t.match(stronger, { sid, scope: session.scope, roles: session.roles, amr: ['pwd', 'otp', 'mfa'], generation: 2 })
    t.equal(stronger?.createdAt, session.createdAt - 60_000)
    t.ok(Math.abs((stronger?.authenticatedAt ?? 0) - Date.now()) < 5000)
    t.strictSame(await sessions.list(sub), [stronger])
    const { authenticatedAt } = stronger ?? {}
    t.match(await presentGeneration(sessions, sub, sid, 1), {
      outcome: 'replayed',
      session: { generation: 2, authenticatedAt },
    })
    t.match(await presentGeneration(sessions, sub, sid, 2), {
      session: { amr: ['pwd', 'otp', 'mfa'], authenticatedAt },
    })

    t.match(await sessions.reauthenticate(sub, sid, ['pwd']), { amr: ['pwd'] })
    t.equal(await sessions.reauthenticate(newUserId(), sid, ['pwd']), undefined, 'another account')
    await sessions.revoke(sub, [sid])
    t.equal(await sessions.reauthenticate(sub, sid, ['pwd']), undefined, 'ended')
    t.strictSame(await sessions.list(sub), [])
  })

  test(`${store}: the current generation rotates, and extends the session from now`, async (t) => {
    const { sessions, age } = await openStore(t, store)
    const { session } = await sessions.create(newSession(newUserId()))
    await age(60_000)

    const rotation = await presentGeneration(sessions, session.sub, session.sid, 0)

    const rotated = rotatedSession(rotation, 'rotated')
    t.equal(rotated.generation, 1)
    t.ok(rotated.lastSeenAt >= session.lastSeenAt, 'it was seen now')
    t.equal(rotated.expiresAt, rotated.lastSeenAt + HOUR)
    const moved = { generation: 1, lastSeenAt: rotated.lastSeenAt, expiresAt: rotated.expiresAt }
    const born = { createdAt: session.createdAt - 60_000, authenticatedAt: session.authenticatedAt - 60_000 }
    const all = { ...session, ...born, ...moved }
    t.strictSame(await sessions.list(session.sub), [all], 'its birth is not moved')
    t.match(all, rotated)
  })

  test(`${store}: R2: within the grace a replay gets the same successor, and changes nothing`, async (t) => {
    const { sessions, age } = await openStore(t, store)
    const { session } = await sessions.create(newSession(newUserId()))
    const rotated = rotatedSession(await presentGeneration(sessions, session.sub, session.sid, 0), 'rotated')

    for (const _ of [1, 2, 3]) {
      t.strictSame(rotatedSession(await presentGeneration(sessions, session.sub, session.sid, 0), 'replayed'), rotated)
    }

    await age(25_000)
    const later = rotatedSession(await presentGeneration(sessions, session.sub, session.sid, 0), 'replayed')
    t.equal(later.generation, 1)
    t.equal(later.expiresAt, rotated.expiresAt - 25_000, 'a replay extends nothing')
    await age(5000 + 1)
    t.strictSame(
      await presentGeneration(sessions, session.sub, session.sid, 0),
      { outcome: 'reused', successor: 'unused' },
      'late',
    )
    t.match(
      await presentGeneration(sessions, session.sub, session.sid, 1),
      { outcome: 'rotated' },
      'the successor was good still',
    )
  })

  test(`${store}: R4: two generations back is reuse, also within the grace; the store only reports it`, async (t) => {
    const { sessions } = await openStore(t, store)
    const { session } = await sessions.create(newSession(newUserId()))
    await presentGeneration(sessions, session.sub, session.sid, 0)
    await presentGeneration(sessions, session.sub, session.sid, 1)

    t.strictSame(await presentGeneration(sessions, session.sub, session.sid, 0), {
      outcome: 'reused',
      successor: 'used',
    })

    t.equal(await sessions.findUsername(session.sub, session.sid), 'ada')
    t.match(await presentGeneration(sessions, session.sub, session.sid, 1), { outcome: 'replayed' })
  })

  test(`${store}: a session that never began, ended, expired or belongs to another user is unknown`, async (t) => {
    const { sessions, age } = await openStore(t, store)
    const { session } = await sessions.create(newSession(newUserId()))
    const { session: ended } = await sessions.create(newSession(session.sub))
    await sessions.revoke(ended.sub, [ended.sid])

    t.strictSame(await presentGeneration(sessions, session.sub, newSession(session.sub).sid, 0), { outcome: 'unknown' })
    t.strictSame(await presentGeneration(sessions, ended.sub, ended.sid, 0), { outcome: 'unknown' })
    t.strictSame(await presentGeneration(sessions, newUserId(), session.sid, 0), { outcome: 'unknown' })
    t.equal(await sessions.findUsername(newUserId(), session.sid), undefined)
    t.equal(await sessions.findUsername(ended.sub, ended.sid), undefined)
    await age(HOUR + 1)
    t.strictSame(await presentGeneration(sessions, session.sub, session.sid, 0), { outcome: 'unknown' })
  })

  test(`${store}: a generation newer than the store's moves the session to itself`, async (t) => {
    const { sessions } = await openStore(t, store)
    const { session } = await sessions.create(newSession(newUserId()))

    const moved = rotatedSession(await presentGeneration(sessions, session.sub, session.sid, 7), 'rotated')

    t.equal(moved.generation, 8)
    t.strictSame(rotatedSession(await presentGeneration(sessions, session.sub, session.sid, 7), 'replayed'), moved)
    t.strictSame(await presentGeneration(sessions, session.sub, session.sid, 6), {
      outcome: 'reused',
      successor: 'used',
    })
    t.match(await presentGeneration(sessions, session.sub, session.sid, 8), {
      outcome: 'rotated',
      session: { generation: 9 },
    })
  })

  test(`${store}: R9: an unused session ends by itself; look-ups and replays do not extend it`, async (t) => {
    const { sessions, age } = await openStore(t, store, { refreshGrace: 2 * HOUR })
    const { session } = await sessions.create(newSession(newUserId()))
    await presentGeneration(sessions, session.sub, session.sid, 0)

    await age(HOUR - 5000)
    t.equal(await sessions.findUsername(session.sub, session.sid), 'ada')
    t.equal((await sessions.list(session.sub)).length, 1)
    t.match(await presentGeneration(sessions, session.sub, session.sid, 0), { outcome: 'replayed' })

    await age(5000 + 1)
    t.equal(await sessions.findUsername(session.sub, session.sid), undefined)
    t.strictSame(await sessions.list(session.sub), [])
    t.strictSame(await presentGeneration(sessions, session.sub, session.sid, 0), { outcome: 'unknown' })
    t.strictSame(await sessions.revoke(session.sub, [session.sid]), [])
  })

  test(`${store}: R9: a session in daily use ends at its maximum age, to the millisecond`, async (t) => {
    const { sessions, age } = await openStore(t, store, { sessionMaxAge: 2 * HOUR })
    const { session } = await sessions.create(newSession(newUserId()))
    const end = session.createdAt + 2 * HOUR

    for (const generation of [0, 1]) {
      await age(HOUR - 5000)
      await presentGeneration(sessions, session.sub, session.sid, generation)
    }

    const [living] = await sessions.list(session.sub)
    t.equal(living?.expiresAt, end - 2 * (HOUR - 5000))
    await age(10_001)
    t.equal(await sessions.findUsername(session.sub, session.sid), undefined)
    t.strictSame(await presentGeneration(sessions, session.sub, session.sid, 2), { outcome: 'unknown' })
  })

  test(`${store}: R9: a maximum age below the idle time applies from the start`, async (t) => {
    const { sessions } = await openStore(t, store, { sessionMaxAge: 60_000 })

    const { session } = await sessions.create(newSession(newUserId()))

    t.equal(session.expiresAt, session.createdAt + 60_000)
    const rotated = rotatedSession(await presentGeneration(sessions, session.sub, session.sid, 0), 'rotated')
    t.equal(rotated.expiresAt, session.expiresAt)
  })

  test(`${store}: a revocation returns exactly the sessions that it ended`, async (t) => {
    const { sessions } = await openStore(t, store)
    const sub = newUserId()
    const { session: phone } = await sessions.create(newSession(sub))
    const { session: laptop } = await sessions.create(newSession(sub))
    const { session: others } = await sessions.create(newSession(newUserId()))

    t.strictSame(await sessions.revoke(sub, []), [])
    await sessions.confirmRevoked(sub)
    t.strictSame(await sessions.revoke(sub, [others.sid, newSession(sub).sid]), [])
    t.strictSame(await sessions.revoke(sub, [phone.sid, others.sid]), [phone.sid])
    t.strictSame(await sessions.revoke(sub, [phone.sid]), [])

    t.equal(await sessions.findUsername(others.sub, others.sid), 'ada')
    t.strictSame(await sessions.list(sub), [laptop])
  })

  test(`${store}: revokeAll spares the excepted session, and every other user`, async (t) => {
    const { sessions } = await openStore(t, store)
    const sub = newUserId()
    const created = [1, 2, 3, 4].map(async () => (await sessions.create(newSession(sub))).session.sid)
    const [kept, ...gone] = (await Promise.all(created)) as [string, ...string[]]
    const { session: others } = await sessions.create(newSession(newUserId()))

    t.strictSame((await sessions.revokeAll(sub, kept)).sort(), gone.sort())
    t.strictSame(await sessions.revokeAll(sub, kept), [])
    t.equal(await sessions.findUsername(sub, kept), 'ada')
    t.strictSame(await sessions.revokeAll(sub), [kept])
    t.strictSame(await sessions.list(sub), [])
    t.strictSame(await sessions.revokeAll(sub), [])
    t.equal(await sessions.findUsername(others.sub, others.sid), 'ada')
  })

  test(`${store}: F23: an ended session stays ended when the clock of the store steps back`, async (t) => {
    const { sessions, age } = await openStore(t, store)
    const { session } = await sessions.create(newSession(newUserId()))
    await age(HOUR + 1)
    await sessions.revoke(session.sub, [session.sid])

    await age(-HOUR)

    t.equal(await sessions.findUsername(session.sub, session.sid), undefined)
    t.strictSame(await presentGeneration(sessions, session.sub, session.sid, 0), { outcome: 'unknown' })
  })

  test(`${store}: sessions are listed by their last use, the latest first`, async (t) => {
    const { sessions, age } = await openStore(t, store)
    const sub = newUserId()
    const sids: string[] = []
    for (const _ of [1, 2, 3]) {
      sids.push((await sessions.create(newSession(sub))).session.sid)
      await age(1000)
    }
    const [first, second, third] = sids as [string, string, string]

    t.strictSame(await listed(), [third, second, first])
    await presentGeneration(sessions, sub, first, 0)
    t.strictSame(await listed(), [first, third, second])
    await age(1000)
    await presentGeneration(sessions, sub, second, 0)
    await presentGeneration(sessions, sub, first, 0)
    t.strictSame(await listed(), [second, first, third], 'a replay is no use')

    async function listed() {
      return (await sessions.list(sub)).map(({ sid }) => sid)
    }
  })

  test(`${store}: R13: past the user's limit the longest unused session is returned, never the new one`, async (t) => {
    const { sessions, age } = await openStore(t, store, { sessionsPerUser: 3 })
    const sub = newUserId()
    const sids: string[] = []
    for (const _ of [1, 2, 3]) {
      const { session, excess } = await sessions.create(newSession(sub))
      t.strictSame(excess, [])
      sids.push(session.sid)
      await age(1000)
    }
    const [first, second, third] = sids as [string, string, string]
    await presentGeneration(sessions, sub, first, 0)
    await age(1000)

    const { session: fourth, excess } = await sessions.create(newSession(sub))
    t.strictSame(excess, [second], 'the first was used since')
    t.equal(await sessions.findUsername(sub, second), 'ada', 'it is named, not ended')

    await age(1000)
    t.strictSame(
      new Set((await sessions.create(newSession(sub))).excess),
      new Set([second, third]),
      'named until ended',
    )
    await sessions.revoke(sub, [second, third])
    t.strictSame((await sessions.list(sub)).length, 3)
    t.equal(await sessions.findUsername(sub, fourth.sid), 'ada')
    t.strictSame((await sessions.create(newSession(newUserId()))).excess, [], 'another user is not counted')
  })

  test(`${store}: R13: expired and ended sessions do not count`, async (t) => {
    const { sessions, age } = await openStore(t, store, { sessionsPerUser: 2 })
    const sub = newUserId()
    await sessions.create(newSession(sub))
    await sessions.create(newSession(sub))
    await age(HOUR + 1)

    const { session } = await sessions.create(newSession(sub))
    t.strictSame((await sessions.create(newSession(sub))).excess, [])
    await sessions.revoke(sub, [session.sid])
    t.strictSame((await sessions.create(newSession(sub))).excess, [])
  })

  test(`${store}: a client's tokens end up to a time of issue; an earlier time ends no more of them`, async (t) => {
    const { sessions, replica } = await openStore(t, store)
    const now = Math.floor(Date.now() / 1000)

    t.equal(await sessions.revokeClient('backend', now), true)
    t.equal(await (await replica()).revokeClient('backend', now), false)
    t.equal(await sessions.revokeClient('backend', now - 60), false)
    t.equal(await sessions.clientNotBefore('backend'), now)
    t.equal(await sessions.revokeClient('backend', now + 60), true)
    t.equal(await sessions.clientNotBefore('backend'), now + 60)
    t.ok((await sessions.clientNotBefore('another')) < now + 60)
  })

  test(`${store}: a renamed user's living sessions show the new name, and an ended session stays ended`, async (t) => {
    const { sessions } = await openStore(t, store)
    const sub = newUserId()
    const first = newSession(sub, { username: 'é'.repeat(127) })
    const second = newSession(sub)
    const other = newSession(newUserId())
    for (const session of [first, second, other]) await sessions.create(session)
    await sessions.revoke(sub, [second.sid])
    for (const name of ['ada.lovelace', 'x'.repeat(254), 'x'.repeat(126), 'x'.repeat(63), 'x', '名'.repeat(254)]) {
      await sessions.renameUser(sub, name)
      t.equal(await sessions.findUsername(sub, first.sid), name)
      t.match(await sessions.list(sub), [{ sid: first.sid, username: name, deviceName: 'phone' }])
    }
    t.equal(await sessions.findUsername(sub, second.sid), undefined)
    t.equal(await sessions.findUsername(other.sub, other.sid), 'ada')
    await sessions.renameUser(newUserId(), 'nobody')
    t.match(await presentGeneration(sessions, sub, first.sid, 0), { outcome: 'rotated' })
  })

  test(`${store}: something is used once, on any replica and in any race, and never after its deadline`, async (t) => {
    const { sessions, replica } = await openStore(t, store)
    const other = await replica()
    const now = Date.now()
    const use = (id: string, deadline = now + 60_000) => ({ id, notBefore: now, deadline })

    t.equal(await sessions.useOnce(use('a')), true)
    t.equal(await sessions.useOnce(use('a')), false)
    t.equal(await other.useOnce(use('a', now + 120_000)), false)
    t.equal(await other.useOnce(use('b')), true)
    t.equal(await sessions.useOnce(use('c', now - 1)), false)
    t.equal(await sessions.useOnce(use('c', now - 1)), false)
    for (let round = 0; round < 20; round += 1) {
      const race = Array.from({ length: 8 }, (_, i) => (i % 2 ? other : sessions).useOnce(use(`race ${round}`)))
      t.equal((await Promise.all(race)).filter(Boolean).length, 1)
    }
  })

  test(`${store}: S1 the feed names what ended, in its order, and nothing that had ended before`, async (t) => {
    const { sessions, replica, age } = await openFeed(t, store)
    const sub = newUserId()
    const [one, two, three, expired] = await Promise.all(
      [1, 2, 3, 4].map(async () => (await sessions.create(newSession(sub))).session.sid),
    )
    const [first] = await read('newest')
    t.equal(first?.revocation, undefined, 'the feed of a new store revokes nothing')

    await sessions.revoke(sub, [one as string])
    await sessions.revoke(sub, [one as string, newSession(sub).sid])
    await (await replica()).revoke(sub, [two as string])
    await sessions.revokeClient('backend', 1_795_290_000)
    await sessions.revokeClient('backend', 1_795_290_000)
    await sessions.revokeClient('backend', 1_795_289_999)
    await sessions.revokeClient('backend', 1_795_290_001)
    await sessions.revokeAll(sub, expired)
    await sessions.revokeAll(sub, expired)
    await age(HOUR + 1)
    await sessions.revokeAll(sub)

    const expected = [
      { sids: [one] },
      { sids: [two] },
      { clientId: 'backend', issuedUntil: 1_795_290_000 },
      { clientId: 'backend', issuedUntil: 1_795_290_001 },
      { sids: [three] },
    ]
    t.strictSame(revocationsOf(await read('oldest')), expected)
    t.strictSame(revocationsOf(await read({ id: first?.id as string })), expected)

    async function read(from: FeedStart): Promise<FeedEntry[]> {
      return (await sessions.readFeed(from, 1000)).entries
    }
  })

  test(`${store}: the feed is read in pages, each from the entry that the last one ended with`, async (t) => {
    const { sessions, replica } = await openFeed(t, store)
    const sub = newUserId()
    const sids = await Promise.all(
      [1, 2, 3, 4, 5].map(async () => (await sessions.create(newSession(sub))).session.sid),
    )
    for (const sid of sids) await sessions.revoke(sub, [sid])

    const entries: FeedEntry[] = []
    const others = await replica()
    let page = await sessions.readFeed('oldest', 2)
    const { name, epoch } = page
    entries.push(...page.entries)
    while (page.hasMore) {
      t.equal(page.entries.length, 2, 'a page before the last is full')
      const last = entries.at(-1) as FeedEntry
      page = await others.readFeed({ id: last.id }, 2)
      t.match(page, { name, epoch }, 'all pages are of one history')
      t.strictSame(page.entries.shift(), last, 'the page begins with the entry that was asked for')
      entries.push(...page.entries)
      page.entries.unshift(last)
    }

    t.strictSame(
      revocationsOf(entries),
      sids.map((sid) => ({ sids: [sid] })),
    )
    t.strictSame((await sessions.readFeed('newest', 5)).entries.length, 1)
    const ids = entries.map(({ id }) => id)
    t.equal(new Set(ids).size, ids.length)
    const ahead = `${Date.now() + HOUR}-1000000`
    const pageAhead = await sessions.readFeed({ id: ahead }, 5)
    t.match(pageAhead, { name, hasMore: false })
    t.strictSame(pageAhead.entries, [])
    t.not((await sessions.readFeed({ id: '1-0' }, 5)).entries[0]?.id, '1-0', 'an entry that is gone is not made up')
  })

  test(`${store}: a ping is answered`, async (t) => {
    const { sessions } = await openStore(t, store)
    await t.resolves(sessions.ping())
  })
}

function rotatedSession(rotation: Rotation, outcome: 'rotated' | 'replayed'): IssuableSession {
  if (rotation.outcome !== outcome) throw new Error(`the rotation was ${rotation.outcome}, not ${outcome}`)
  return rotation.session
}

/** A store whose feed has begun. */
async function openFeed(t: Test, store: Store) {
  const open = await openStore(t, store)
  await open.register()
  return open
}

const revocationsOf = (entries: readonly FeedEntry[]): Revocation[] =>
  entries.flatMap(({ revocation }) => revocation ?? [])
