import { writeFileSync } from 'node:fs'
import { test } from 'tap'
import type { ClientCredentials } from '../../src/clients/client-authentication.js'
import { createClients, generateClientSecret } from '../../src/clients/clients.js'
import { createFileKeyRing } from '../../src/tokens/key-ring.js'
import { basicAuthorization } from '../support/api.js'
import { type BentClock, bentClock } from '../support/bent-clock.js'
import { jwkSet, makeKey, writeKeyFile } from '../support/keys.js'
import { openTestDatabase } from '../support/stores.js'

const HOUR = 60 * 60_000

const WAYS: Record<string, (clock: BentClock) => void> = {
  'suspended for 6 s': (clock) => clock.suspend(6000),
  'the wall clock is set back by an hour, and 6 s go by': (clock) => {
    clock.setWall(-HOUR)
    clock.pass(6000)
  },
}

for (const store of ['sqlite', 'postgres'] as const) {
  for (const [what, bend] of Object.entries(WAYS)) {
    test(`O7 ${store}: ${what}: the service remembers a client and its last secret for 5 seconds`, async (t) => {
      const { database, openAgain } = await openTestDatabase(t, store)
      const elsewhere = createClients(await openAgain())
      const clock = bentClock()
      const clients = createClients(database, clock)
      const knows = async (credentials: ClientCredentials) =>
        (await clients.authenticate({ ...basicAuthorization(credentials), body: undefined })) !== undefined
      const [gone, rotated] = ['gone', 'rotated'].map((id) => ({ id, secret: generateClientSecret() }))
      if (!gone || !rotated) throw new Error()
      for (const each of [gone, rotated]) {
        await elsewhere.create(each, { scopes: [], audiences: [] })
        t.equal(await knows(each), true)
      }
      await elsewhere.delete(gone.id)
      await elsewhere.rotateSecret({ id: rotated.id, secret: generateClientSecret() }, 0)
      t.equal(await knows(gone), true, 'it is remembered')

      bend(clock)
      t.equal(await knows(gone), false)
      t.equal(await knows(rotated), false)
    })

    test(`O7 ${store}: ${what}: the previous secret ends with its overlap, also without the database`, async (t) => {
      const { database, openAgain } = await openTestDatabase(t, store)
      const elsewhere = createClients(await openAgain())
      const clock = bentClock()
      const clients = createClients(database, clock)
      const before = { id: 'todo', secret: generateClientSecret() }
      const after = { id: 'todo', secret: generateClientSecret() }
      await elsewhere.create(before, { scopes: [], audiences: [] })
      await elsewhere.rotateSecret(after, 5000)
      const knows = async (credentials: ClientCredentials) =>
        (await clients.authenticate({ ...basicAuthorization(credentials), body: undefined })) !== undefined
      t.equal(await knows(before), true)

      await database.close()
      bend(clock)
      t.equal(await knows(after), true, 'what is remembered serves while the database is away')
      t.equal(await knows(before), false)
    })
  }
}

test('O7 a suspended process checks its key file before it answers again', async (t) => {
  const [withdrawn, other] = [await makeKey('ES256'), await makeKey('ES256')]
  const path = writeKeyFile(t, withdrawn, other)
  const clock = bentClock()
  const read: string[][] = []
  const broken: string[] = []
  const ring = createFileKeyRing(path, {
    clock,
    onRead: (keys) => void read.push(keys.map(({ kid }) => kid)),
    onInvalid: (reason) => void broken.push(reason),
  })
  t.teardown(() => ring.close())
  const kids = () => ring.keys().map(({ kid }) => kid)
  t.strictSame(kids(), [withdrawn.kid, other.kid])

  // The event loop does not turn between the change and the request, so the timer has not checked the file.
  writeFileSync(path, jwkSet(other))
  clock.suspend(2000)
  t.strictSame(kids(), [other.kid])
  t.strictSame(read, [[other.kid]])

  writeFileSync(path, '{')
  clock.suspend(2000)
  t.strictSame(kids(), [other.kid], 'a broken file changes nothing')
  clock.suspend(2000)
  kids()
  t.equal(broken.length, 1, 'and is told once')
})
