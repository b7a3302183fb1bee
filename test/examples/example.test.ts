import { statSync } from 'node:fs'
import { test } from 'tap'
import { adminClient } from '../support/admin-client.js'
import { Api } from '../support/api.js'
import { claimsOf } from '../support/decode.js'
import { runExample } from '../support/example.js'
import { temporaryFolder } from '../support/service.js'

test('npm run example starts both services and prints the addresses; a new folder gets an hour of activity; Ctrl-C stops both', async (t) => {
  const folder = temporaryFolder(t)
  const example = await runExample(t, folder)
  const { page, docs } = example
  t.match(await (await fetch(page)).text(), '<title>Todo')
  t.equal((await fetch(docs)).status, 200)
  const login = await fetch(`${page}/auth/login`, { method: 'POST', body: new URLSearchParams({ username: 'ada' }) })
  t.match(await login.json(), { error_description: 'password is missing' })
  t.equal(statSync(`${folder}/secrets.json`).mode & 0o777, 0o600)

  const url = new URL(example.console).origin
  const api = new Api(url, example.client)
  const { username, password } = example.operator
  const begun = await api.login(username, password, { scope: 'admin', audience: url })
  t.equal(begun.status, 200, 'the operator signs in to the console')
  const bearer = begun.body.access_token
  t.ok(Math.abs(claimsOf(bearer).iat - Date.now() / 1000) < 60, 'the clock is that of the machine')
  const now = (await api.call('/admin/now', { bearer })).body
  const total = (name: string) =>
    now.minutes.reduce((sum: number, minute: Record<string, number>) => sum + (minute[name] as number), 0)
  for (const [name, least] of Object.entries({ sign_ins: 30, refreshes: 150, refusals: 15, revocations: 15 })) {
    t.ok(total(name) >= least, `${name}: ${total(name)}`)
  }
  t.ok(now.minutes.filter(({ refreshes }: { refreshes: number }) => refreshes > 0).length > 40, 'spread over the hour')
  const { events } = (await api.call('/admin/activity?limit=1000', { bearer })).body
  const names = new Set(events.map(({ event }: { event: string }) => event))
  for (const name of ['login.accepted', 'login.refused', 'refresh.reused', 'session.ended', 'user.disabled']) {
    t.ok(names.has(name), name)
  }
  const { users } = (await api.call('/admin/users', { bearer })).body
  t.equal(users.length, 13)
  const grace = users.find(({ username }: { username: string }) => username === 'grace')
  const { sessions } = (await api.call(`/admin/sessions?sub=${grace.id}`, { bearer })).body
  t.ok(sessions.length >= 3)
  const seconds = Date.now() / 1000
  for (const { created_at: created, last_seen_at: seen, expires_at: expires } of sessions) {
    t.ok(created <= seen && seen <= seconds && expires > seconds, `${created} ${seen} ${expires}`)
  }
  t.ok(
    sessions.some(({ created_at: created }: { created_at: number }) => created < seconds - 86_400),
    'for days',
  )

  t.strictSame(await example.stop(), [0, null])
  for (const address of [page, docs]) await t.rejects(fetch(address))

  const again = await runExample(t, folder)
  const admin = adminClient(new Api(new URL(again.console).origin, again.client))
  t.equal(again.operator.password, password)
  t.equal((await admin('GET', '/users')).body.users.length, 13)
  t.match((await admin('GET', '/now')).body.minutes[0], { refreshes: 0 }, 'a later start adds nothing')
  t.strictSame(await again.stop(), [0, null])
})
