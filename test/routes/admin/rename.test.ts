import { test } from 'tap'
import { adminClient, UNKNOWN_USER_ID } from '../../support/admin-client.js'
import { PASSWORD, startService, stores } from '../../support/service.js'

for (const store of stores) {
  test(`${store}: a renamed account keeps its id, its password and its sessions, which show the new name at once`, async (t) => {
    const { api, audited } = await startService(t, store)
    const admin = adminClient(api)
    // In Redis a long name has several pieces.
    const long = `${'x'.repeat(64)}@${'é'.repeat(180)}`
    const { id } = (await api.signUp(long, PASSWORD)).body
    await api.signUp('eve', PASSWORD)
    const tokens = await api.tokens(long, PASSWORD)
    t.match((await api.introspect(tokens.access_token)).body, { username: long })

    for (const username of ['Ada', 'ada.lovelace@example.com', 'ADA.Lovelace@example.com', long, 'Ada']) {
      const renamed = await admin('PUT', `/users/${id}/username`, { json: { username } })
      t.match(renamed, { status: 200, body: { id, username } }, username)
      t.match((await api.introspect(tokens.access_token)).body, { active: true, sub: id, username })
      t.match((await api.tokens(username, PASSWORD)).sid, /./, 'and signs in by the new name')
    }
    t.equal((await api.login(long, PASSWORD)).status, 401, 'the old name is unknown')
    t.equal((await api.refresh(tokens.refresh_token)).status, 200)
    t.equal((await api.signUp(long, PASSWORD)).status, 201, 'and free')
    t.match(audited('user.renamed').at(-1), { sub: id, username: 'Ada', by: api.client.id })
  })

  test(`${store}: L4: an account gets no name that is taken, looks like another, or breaks a rule`, async (t) => {
    const { api } = await startService(t, store)
    const admin = adminClient(api)
    const { id } = (await api.signUp('ada', PASSWORD)).body
    await api.signUp('eve', PASSWORD)
    await api.signUp('علي', PASSWORD)
    for (const username of ['eve', 'EVE', 'ｅｖｅ', 'علی']) {
      const answer = await admin('PUT', `/users/${id}/username`, { json: { username } })
      t.match(answer, { status: 409, body: { error: 'username_taken' } }, username)
    }
    for (const username of ['a b', 'аda', 'x'.repeat(65), '']) {
      const answer = await admin('PUT', `/users/${id}/username`, { json: { username } })
      t.match(answer, { status: 400, body: { error: 'invalid_request' } }, username)
    }
    const unknown = await admin('PUT', `/users/${UNKNOWN_USER_ID}/username`, { json: { username: 'bob' } })
    t.equal(unknown.status, 404)
    t.match((await admin('GET', `/users/${id}`)).body, { username: 'ada' })
  })

  test(`${store}: of ten accounts that want one name at once, one gets it, and no answer is a fault`, async (t) => {
    const { api } = await startService(t, store)
    const admin = adminClient(api)
    const ids = await Promise.all(
      Array.from({ length: 10 }, async (_, i) => (await api.signUp(`user${i}`, PASSWORD)).body.id),
    )
    const rename = (id: string) => admin('PUT', `/users/${id}/username`, { json: { username: 'ada' } })
    const answers = await Promise.all(ids.map(rename))
    const statuses = answers.map(({ status }) => status)
    t.equal(statuses.filter((status) => status === 200).length, 1, `${statuses}`)
    t.ok(
      statuses.every((status) => status === 200 || status === 409 || status === 503),
      `${statuses}`,
    )
  })
}
