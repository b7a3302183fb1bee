import { test } from 'tap'
import { createTickets } from '../../src/tickets/tickets.js'
import { openTestDatabase, untilAnswered } from '../support/stores.js'

const SECRETS = ['mac-3Hs6Gp0YjWq9Ea2Rt7Uy4Io1Pl5Kx8', 'old-9fKq2Lx7Zr4Vb1Nc8Mw5Td3Hs6Gp0Yj'] as const
const ISSUER = 'http://latchkey.test'

test('M5: a ticket is good for its purpose, its issuer and its time, with a key of the list, in one spelling', async (t) => {
  const { database } = await openTestDatabase(t, 'sqlite')
  let now = 1_795_290_000_000
  const open = (secrets: readonly [string, ...string[]], issuer = ISSUER) =>
    createTickets(secrets, issuer, database, () => now)
  const tickets = open(SECRETS)
  const ticket = tickets.issue('recovery', { sub: 'ada', passwordVersion: 3 }, 900)

  t.match(ticket, /^lkt_[\w-]+\.[\w-]{43}$/)
  t.match(tickets.read('recovery', ticket), { sub: 'ada', passwordVersion: 3 })
  t.match(open([SECRETS[1], SECRETS[0]]).read('recovery', ticket), { sub: 'ada' }, 'the secret was rotated')
  t.equal(open([SECRETS[1]]).read('recovery', ticket), undefined, 'the secret was removed')
  t.equal(open(SECRETS, 'http://other.test').read('recovery', ticket), undefined)
  for (const purpose of ['mfa', 'enrolment', 'passkey challenge', 'passkey registration'] as const) {
    t.equal(tickets.read(purpose, ticket), undefined, purpose)
  }
  const [body = '', mac = ''] = ticket.split('.')
  const more = Buffer.from(JSON.stringify({ sub: 'bob', passwordVersion: 3, expiresAt: now * 2 })).toString('base64url')
  for (const forged of [
    `lkt_${more}.${mac}`,
    `${body}.`,
    body,
    `${ticket} `,
    `${ticket}=`,
    ` ${ticket}`,
    '',
    'lkt_.',
  ]) {
    t.equal(tickets.read('recovery', forged), undefined, forged.slice(0, 20))
  }
  for (let i = 0; i < ticket.length; i += 7) {
    const other = ticket[i] === 'A' ? 'B' : 'A'
    t.equal(tickets.read('recovery', ticket.slice(0, i) + other + ticket.slice(i + 1)), undefined, `character ${i}`)
  }
  now += 899_999
  t.ok(tickets.read('recovery', ticket))
  now += 1
  t.equal(tickets.read('recovery', ticket), undefined, 'expired')
})

for (const store of ['sqlite', 'postgres'] as const) {
  test(`${store}: of 50 uses of one ticket at once, on two replicas, one succeeds`, async (t) => {
    const { database, openAgain } = await openTestDatabase(t, store)
    const replicas = [database, await openAgain()].map((each) => createTickets(SECRETS, ISSUER, each))
    const [first] = replicas
    await untilAnswered(async () => {
      const ticket = first?.read('mfa', first.issue('mfa', signIn, 300))
      if (!ticket) throw new Error('the ticket is not read')
      const uses = await Promise.all(Array.from({ length: 50 }, (_, i) => replicas[i % 2]?.use(ticket)))
      t.equal(uses.filter(Boolean).length, 1)
      t.equal(await first?.use(ticket), false)
    })
  })
}

const signIn = {
  sub: 'ada',
  passwordVersion: 1,
  factorsVersion: 1,
  session: { clientId: 'latchkey', scope: '', audience: ISSUER, deviceName: null },
}
