import { test } from 'tap'
import { createActivity } from '../src/activity.js'
import type { AuditLine } from '../src/audit.js'

const MINUTE = 60_000
const BEGIN = 29_000_000 * MINUTE

const from = { ip: '192.0.2.7', reqId: '1' }
const signIn = (sub: string): AuditLine => ({ event: 'login.accepted', sub, sid: 's', amr: ['pwd'], ...from })
const refused = (sub: string): AuditLine => ({ event: 'login.refused', reason: 'wrong_password', sub, ...from })
const rotated = (sub: string): AuditLine => ({ event: 'refresh.rotated', sub, sid: 's', generation: 1, ...from })
const disabled = (sub: string): AuditLine => ({ event: 'user.disabled', sub, by: 'root', ...from })
const ended = (...sids: string[]): AuditLine => ({
  event: 'session.ended',
  sub: 'ada',
  sids,
  reason: 'logout',
  ...from,
})

function bentActivity() {
  let time = BEGIN
  const activity = createActivity(() => time)
  const signIns = () => activity.minutes().map(({ signIns }) => signIns)
  return { ...activity, signIns, pass: (minutes: number) => (time += minutes * MINUTE) }
}

test('activity: a minute falls out after an hour, and so does its event', (t) => {
  const { record, minutes, events, signIns, pass } = bentActivity()
  record(signIn('ada'))
  record(refused('ada'))
  record(rotated('ada'))
  record(ended('one', 'two', 'three'))
  t.equal(minutes().length, 60)
  t.match(minutes().at(-1), { time: BEGIN, signIns: 1, refreshes: 1, refusals: 1, revocations: 3 })
  for (let minute = 1; minute < 60; minute += 1) {
    pass(1)
    record(signIn('grace'))
    t.equal(minutes()[59 - minute]?.signIns, 1)
  }
  t.equal(minutes()[0]?.time, BEGIN)
  t.equal(events().length, 63)
  pass(1)
  t.match(minutes()[0], { time: BEGIN + MINUTE, signIns: 1, refreshes: 0, refusals: 0, revocations: 0 })
  pass(0.01)
  t.ok(events().every(({ event }) => 'sub' in event && event.sub === 'grace'))
  t.strictSame([signIns().at(-1), signIns().at(-2)], [0, 1], 'nothing happened in the present minute')
  pass(600)
  t.strictSame(signIns(), Array(60).fill(0), 'after a quiet night nothing is left')
  t.strictSame(events(), [])
  t.end()
})

test('P9: memory holds 500 events of each kind, and a flood of one kind drops no event of another', (t) => {
  const { record, events, signIns } = bentActivity()
  record(disabled('eve'))
  for (let round = 0; round < 20_000; round += 1) {
    record(refused(`${round}`))
    record(rotated(`${round}`))
    record(signIn(`${round}`))
    record(ended(`${round}`))
  }
  const all = events()
  t.equal(all.length, 2001)
  t.equal(all.filter(({ event }) => event.event === 'user.disabled').length, 1)
  t.ok(
    all.some(({ event }) => event.event === 'login.refused' && event.sub === '19999'),
    'the newest stay',
  )
  t.equal(signIns().at(-1), 20_000, 'the counts have all')
  t.end()
})

test('activity: a clock that is set back, or forward by days, leaves no event in a wrong minute', (t) => {
  const { record, signIns, pass } = bentActivity()
  record(signIn('ada'))
  pass(5)
  record(signIn('ada'))
  pass(-3)
  t.strictSame(signIns().slice(-3), [1, 0, 0], 'what has not happened yet is not counted')
  record(signIn('ada'))
  pass(3)
  t.strictSame(signIns().slice(-6), [1, 0, 1, 0, 0, 0])
  pass(5 * 24 * 60)
  record(signIn('ada'))
  pass(-5 * 24 * 60)
  t.strictSame(signIns(), Array(60).fill(0))
  record(signIn('ada'))
  t.equal(signIns().at(-1), 1)
  t.end()
})
