import { test } from 'tap'
import { adminClient } from '../../support/admin-client.js'
import { expectEvents } from '../../support/audit-events.js'
import { PASSWORD, startService, stores } from '../../support/service.js'

const UNKNOWN = '00000000-0000-4000-8000-000000000000'
const BCRYPT = '$2b$04$G7cIgOdPBkwRt7bGsgWEteKijCJ3QOwRPrvIoW.47lGeZwJU21KZC'

for (const store of stores) {
  test(`${store}: an administrator creates an account, reads it, sets its roles, and deletes it`, async (t) => {
    const { api, audited } = await startService(t, store, { SIGNUP: 'closed' })
    const admin = adminClient(api)

    const made = await admin('POST', '/users', {
      form: { username: 'Ada', password: PASSWORD, roles: 'editor reviewer' },
    })
    t.equal(made.status, 201)
    t.equal(made.headers['cache-control'], 'no-store')
    const { id } = made.body
    t.strictSame(made.body, {
      id,
      username: 'Ada',
      roles: ['editor', 'reviewer'],
      disabled: false,
      created_at: made.body.created_at,
      claims: {},
    })
    t.strictSame((await admin('GET', `/users/${id}`)).body, made.body)
    const tokens = await api.tokens('ada', PASSWORD)
    const { body: introspected } = await api.introspect(tokens.access_token)
    t.equal(introspected.sub, id)
    t.strictSame(introspected.roles, ['editor', 'reviewer'])
    t.match(await admin('POST', '/users', { json: { username: 'ＡＤＡ', password: PASSWORD } }), {
      status: 409,
      body: { error: 'username_taken' },
    })

    t.equal(
      (await admin('PUT', `/users/${id}/roles`, { json: { roles: ['editor', 'reviewer', 'chief'] } })).status,
      204,
    )
    t.equal(await api.isActive(tokens.access_token), true, 'what is added ends nothing')
    const later = await api.tokens('ada', PASSWORD)
    t.equal((await admin('PUT', `/users/${id}/roles`, { form: { roles: 'editor reviewer' } })).status, 204)
    t.equal(await api.isActive(later.access_token), false, 'what is taken away ends the sessions that have it')
    t.equal(await api.isActive(tokens.access_token), true, 'and those alone')
    t.equal((await api.refresh(later.refresh_token)).status, 400)
    t.equal((await admin('PUT', `/users/${id}/roles`, { json: { roles: [] } })).status, 204)
    t.strictSame((await admin('GET', `/users/${id}`)).body.roles, [])

    const last = await api.tokens('ada', PASSWORD)
    t.equal((await admin('DELETE', `/users/${id}`)).status, 204)
    t.equal(await api.isActive(last.access_token), false)
    t.match(await admin('DELETE', `/users/${id}`), { status: 404, body: { error: 'not_found' } })
    t.equal((await api.login('ada', PASSWORD)).status, 401)

    const by = api.client.id
    expectEvents(t, audited('user.created'), [{ sub: id, by }])
    expectEvents(t, audited('user.roles_changed'), [
      { sub: id, by, roles: ['editor', 'reviewer', 'chief'] },
      { sub: id, by, roles: ['editor', 'reviewer'] },
      { sub: id, by, roles: [] },
    ])
    expectEvents(t, audited('user.deleted'), [{ sub: id, by }])
    expectEvents(t, audited('session.ended'), [
      { sub: id, sids: [later.sid], reason: 'roles_changed', by },
      { sub: id, sids: [tokens.sid], reason: 'roles_changed', by },
      { sub: id, sids: [last.sid], reason: 'user_deleted', by },
    ])
  })

  test(`${store}: R10: a disabled account loses its sessions and cannot sign in until somebody enables it`, async (t) => {
    const { api, audited } = await startService(t, store)
    const admin = adminClient(api)
    const { id } = (await api.signUp('ada', PASSWORD)).body
    const [one, two] = [await api.tokens('ada', PASSWORD), await api.tokens('ada', PASSWORD)]

    t.equal((await admin('POST', `/users/${id}/disable`)).status, 204)

    for (const { access_token, refresh_token } of [one, two]) {
      t.equal(await api.isActive(access_token), false)
      t.equal((await api.refresh(refresh_token)).status, 400)
    }
    t.equal((await api.login('ada', PASSWORD)).status, 401)
    t.equal((await admin('GET', `/users/${id}`)).body.disabled, true)
    t.equal((await admin('POST', `/users/${id}/disable`)).status, 204, 'also when repeated')
    t.equal((await admin('POST', `/users/${id}/enable`)).status, 204)
    t.equal((await api.login('ada', PASSWORD)).status, 200)
    const by = api.client.id
    expectEvents(t, audited('user.disabled'), [{ sub: id, by }, {}])
    expectEvents(t, audited('user.enabled'), [{ sub: id, by }])
    const ended = audited('session.ended')
    expectEvents(t, ended, [{ sub: id, reason: 'user_disabled', by }])
    // Sessions that ended together have no defined order.
    t.strictSame(new Set(ended[0]?.sids as string[]), new Set([one.sid, two.sid]))

    for (const path of ['disable', 'enable']) t.equal((await admin('POST', `/users/${UNKNOWN}/${path}`)).status, 404)
  })

  test(`${store}: a reset gives an account another password, and ends all its sessions`, async (t) => {
    const { api, audited } = await startService(t, store)
    const admin = adminClient(api)
    const { id } = (await api.signUp('ada', PASSWORD)).body
    const before = await api.tokens('ada', PASSWORD)
    const renewed = 'seven tame otters hum'

    t.equal((await admin('POST', `/users/${id}/password`, { json: { password: renewed } })).status, 204)

    t.equal(await api.isActive(before.access_token), false)
    t.equal((await api.refresh(before.refresh_token)).status, 400)
    t.equal((await api.login('ada', PASSWORD)).status, 401)
    const after = await api.tokens('ada', renewed)
    t.equal((await admin('POST', `/users/${id}/password`, { form: { password_hash: BCRYPT } })).status, 204)
    t.equal(await api.isActive(after.access_token), false)
    t.equal((await api.login('ada', 'x')).status, 200)
    t.equal(audited('user.password_reset').length, 2)
    const by = api.client.id
    expectEvents(t, audited('session.ended'), [{ sids: [before.sid], reason: 'password_reset', by }, {}])

    for (const [json, said] of [
      [{}, /either password or password_hash/],
      [{ password: renewed, password_hash: BCRYPT }, /either password or password_hash/],
      [{ password: 'short' }, /too short/],
      [{ password: 'ada' }, /too short/],
      [{ password_hash: 'md5:1' }, /format of the hash is unknown/],
      [{ password: 5 }, /must be string/],
    ] as const) {
      const { status, body } = await admin('POST', `/users/${id}/password`, { json })
      t.match({ status, body }, { status: 400, body: { error: 'invalid_request', error_description: said } })
    }
    t.equal((await admin('POST', `/users/${UNKNOWN}/password`, { json: { password: renewed } })).status, 404)
    t.equal((await api.login('ada', 'x')).status, 200)
  })

  test(`${store}: an administrator lists accounts in pages, by name, by prefix, and by disabled`, async (t) => {
    const { api } = await startService(t, store)
    const admin = adminClient(api)
    // In the order of code points, whatever the database's locale says about dashes and lower case.
    const names = ['a-b', 'a.b', 'a_b', 'ab', 'adA', 'b', 'zoë', 'мир', '名前']
    for (const username of [...names].reverse()) {
      t.equal((await admin('POST', '/users', { json: { username, password_hash: BCRYPT } })).status, 201)
    }
    const list = async (query: string): Promise<{ names: string[]; next: string | null }> => {
      const { status, body } = await admin('GET', `/users?${query}`)
      if (status !== 200) throw new Error(`${query} answered ${status}`)
      return { names: body.users.map((user: { username: string }) => user.username), next: body.next }
    }

    t.strictSame(await list(''), { names, next: null })
    const seen: string[] = []
    let cursor: string | null = ''
    for (let page = 0; cursor !== null && page < 10; page += 1) {
      const { names: some, next }: Awaited<ReturnType<typeof list>> = await list(
        `limit=4${cursor && `&cursor=${cursor}`}`,
      )
      t.ok(some.length <= 4)
      seen.push(...some)
      cursor = next
    }
    t.strictSame(seen, names, 'the pages together are all, each once')

    t.strictSame((await list('username_prefix=a')).names, ['a-b', 'a.b', 'a_b', 'ab', 'adA'])
    t.strictSame((await list('username_prefix=AD')).names, ['adA'])
    t.strictSame((await list(`username_prefix=${encodeURIComponent('名')}`)).names, ['名前'])
    t.strictSame((await list('username_prefix=%25')).names, [])
    t.strictSame((await list('username_prefix=a&limit=2&cursor=YS1i')).names, ['a.b', 'a_b'])
    const { id } = (await admin('GET', '/users?username_prefix=zo')).body.users[0]
    await admin('POST', `/users/${id}/disable`)
    t.strictSame((await list('disabled=true')).names, ['zoë'])
    t.strictSame(
      (await list('disabled=false')).names,
      names.filter((name) => name !== 'zoë'),
    )

    for (const query of [
      'limit=0',
      'limit=1001',
      'limit=1e2',
      'limit=-1',
      'cursor=',
      'cursor=*',
      'disabled=yes',
      'limit=1&limit=2',
    ]) {
      const { status, body } = await admin('GET', `/users?${query}`)
      t.match({ status, error: body.error }, { status: 400, error: 'invalid_request' }, query)
      if (query === 'disabled=yes') t.match(body.error_description, /disabled must be true or false$/)
    }
  })

  test(`${store}: an invalid account is refused with the reason`, async (t) => {
    const { api } = await startService(t, store)
    const admin = adminClient(api)
    const password = PASSWORD
    for (const [json, said] of [
      [{ username: 'ada' }, /either password or password_hash/],
      [{ username: 'ada', password, password_hash: BCRYPT }, /either password or password_hash/],
      [{ username: 'a b', password }, /username may only have/],
      [{ username: 'a b', password_hash: BCRYPT }, /username may only have/],
      [{ username: 'ada', password: 'short' }, /too short/],
      [
        { username: 'ada', password_hash: '$2b$20$G7cIgOdPBkwRt7bGsgWEteKijCJ3QOwRPrvIoW.47lGeZwJU21KZC' },
        /costs too much/,
      ],
      [{ username: 'ada', password, roles: 'a  b' }, /^roles has characters/],
      [{ username: 'ada', password, roles: ['a b'] }, /roles\.0 has characters/],
      [{ username: 'ada', password, roles: ['a,b'] }, /roles\.0 has characters/],
      [{ username: 'ada', password, roles: ['ü'] }, /roles\.0 has characters/],
      [{ username: 'ada', password, roles: ['a"b'] }, /roles\.0 has characters/],
      [{ username: 'ada', password, roles: 'a\\b' }, /^roles /],
      [{ username: 'ada', password, roles: 5 }, /^roles /],
      [{ username: 'ada', password, roles: Array.from({ length: 33 }, (_, i) => `r${i}`).join(' ') }, /32 roles/],
    ] as const) {
      const { status, body } = await admin('POST', '/users', { json })
      t.match(
        { status, body },
        { status: 400, body: { error: 'invalid_request', error_description: said } },
        JSON.stringify(json),
      )
    }
    t.strictSame((await admin('GET', '/users')).body.users, [])
  })
}
