import { test } from 'tap'
import { type Answer, type Api, basicAuthorization, type Call, type Tokens } from '../support/api.js'
import { createClient } from '../support/clients.js'
import { Feed } from '../support/feed.js'
import { latchkey, operatorEnvironment } from '../support/latchkey.js'
import { type Environment, PASSWORD, startService, stores } from '../support/service.js'

const OTHER_PASSWORD = 'seven tame otters hum'

/** Somebody with three sessions, the first of which is used. */
interface Person {
  name: string
  id: string
  sids: [string, string, string]
  tokens: Tokens
}

interface Callers {
  api: Api
  env: Environment
  asPerson(method: string, path: string, json?: unknown): Promise<Answer>
  asAdmin(method: string, path: string, json?: unknown): Promise<Answer>
}

/** Each ends sessions of the person, and returns which. */
const endings: Record<string, (person: Person, callers: Callers) => Promise<readonly string[]>> = {
  'sign-out by an access token': async ({ sids, tokens }, { api }) => {
    await api.logout(tokens.access_token)
    return sids.slice(0, 1)
  },
  'sign-out by a refresh token': async ({ sids, tokens }, { api }) => {
    await api.logout(tokens.refresh_token)
    return sids.slice(0, 1)
  },
  'signing out everywhere': async ({ sids }, { asPerson }) => {
    await asPerson('POST', '/logout-all')
    return sids
  },
  'ending one session': async ({ sids }, { asPerson }) => {
    await asPerson('DELETE', `/sessions/${sids[1]}`)
    return [sids[1]]
  },
  'ending the other sessions': async ({ sids }, { asPerson }) => {
    await asPerson('DELETE', '/sessions?except=current')
    return sids.slice(1)
  },
  '/revoke': async ({ sids, tokens }, { api }) => {
    await api.call('/revoke', { form: { token: tokens.refresh_token }, headers: basicAuthorization(api.client) })
    return sids.slice(0, 1)
  },
  'a change of the password': async ({ sids }, { asPerson }) => {
    await asPerson('POST', '/users/me/password', { current_password: PASSWORD, new_password: OTHER_PASSWORD })
    return sids.slice(1)
  },
  'deleting the own account': async ({ sids }, { asPerson }) => {
    await asPerson('DELETE', '/users/me', { password: PASSWORD })
    return sids
  },
  'reuse of a refresh token': async ({ sids, tokens }, { api }) => {
    const { body } = await api.refresh(tokens.refresh_token)
    await api.refresh(body.refresh_token)
    await api.refresh(tokens.refresh_token)
    return sids.slice(0, 1)
  },
  'the limit of sessions for each user': async ({ name, sids }, { api }) => {
    await api.tokens(name, PASSWORD)
    return sids.slice(0, 1)
  },
  'an admin who disables the account': async ({ id, sids }, { asAdmin }) => {
    await asAdmin('POST', `/users/${id}/disable`)
    return sids
  },
  'an admin who sets a password': async ({ id, sids }, { asAdmin }) => {
    await asAdmin('POST', `/users/${id}/password`, { password: OTHER_PASSWORD })
    return sids
  },
  'an admin who deletes the account': async ({ id, sids }, { asAdmin }) => {
    await asAdmin('DELETE', `/users/${id}`)
    return sids
  },
  'an admin who ends one session': async ({ id, sids }, { asAdmin }) => {
    await asAdmin('DELETE', `/sessions/${sids[2]}?sub=${id}`)
    return [sids[2]]
  },
  'an admin who ends all sessions': async ({ id, sids }, { asAdmin }) => {
    await asAdmin('DELETE', `/sessions?sub=${id}`)
    return sids
  },
  'latchkey sessions revoke': async ({ name, sids }, { env }) => {
    await latchkey(['sessions', 'revoke', name, sids[0], sids[1]], operatorEnvironment(env))
    return sids.slice(0, 2)
  },
  'latchkey users delete': async ({ name, sids }, { env }) => {
    await latchkey(['users', 'delete', name], operatorEnvironment(env))
    return sids
  },
}

for (const store of stores) {
  test(`${store}: S1 every way to end a session is in the feed once, and a session that had ended is not`, async (t) => {
    const { api, env } = await startService(t, store, { SESSIONS_PER_USER: '3' })
    const feed = await new Feed(api).readAll()
    let number = 0
    for (const [way, end] of Object.entries(endings)) {
      const name = `person-${number++}`
      const id = (await api.signUp(name, PASSWORD)).body.id as string
      const all: Tokens[] = []
      for (const _ of [1, 2, 3]) all.push(await api.tokens(name, PASSWORD))
      const [tokens] = all as [Tokens]
      const sids = all.map(({ sid }) => sid) as Person['sids']
      const callers: Callers = {
        api,
        env,
        asPerson: (method, path, json) => api.call(path, { method, json, bearer: tokens.access_token } as Call),
        asAdmin: (method, path, json) =>
          api.call(`/admin${path}`, { method, json, headers: basicAuthorization(api.client) } as Call),
      }
      feed.sids = []
      const ended = await end({ name, id, sids, tokens }, callers)
      await feed.readAll()
      t.strictSame([...feed.sids].sort(), [...ended].sort(), way)
      for (const sid of ended) {
        const { access_token: dead } = all.find((each) => each.sid === sid) as Tokens
        t.equal((await api.logout(dead)).status, 204)
      }
      t.equal((await feed.readAll()).sids.length, ended.length, `${way}: a sign-out of an ended session writes nothing`)
    }
    t.equal(feed.losses, 0)
  })

  test(`${store}: S1 a role that is taken away ends the sessions that have the role`, async (t) => {
    const { api } = await startService(t, store)
    const asAdmin = { headers: basicAuthorization(api.client) }
    const ada = { username: 'ada', password: PASSWORD, roles: ['editor', 'reader'] }
    const { id } = (await api.call('/admin/users', { json: ada, ...asAdmin })).body
    const { sid } = await api.tokens('ada', PASSWORD)
    const feed = await new Feed(api).readAll()

    const roles = (value: string) =>
      api.call(`/admin/users/${id}/roles`, { method: 'PUT', json: { roles: value }, ...asAdmin })
    t.equal((await roles('editor reader writer')).status, 204)
    t.strictSame((await feed.readAll()).sids, [])
    t.equal((await roles('reader')).status, 204)
    t.strictSame((await feed.readAll()).sids, [sid])
  })

  test(`${store}: S1 the end of a client's own tokens is in the feed once`, async (t) => {
    const { api, env } = await startService(t, store)
    const feed = await new Feed(api).readAll()
    for (const id of ['one', 'two', 'three']) await createClient(env, id, { scopes: [] })
    const client = await createClient(env, 'backend', { scopes: [] })
    const ask = { form: { grant_type: 'client_credentials' }, headers: basicAuthorization(client) }
    const token = (await api.call('/token', ask)).body.access_token as string
    const iat = JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()).iat as number

    for (const _ of [1, 2]) await api.call('/revoke', { form: { token }, headers: basicAuthorization(client) })
    t.strictSame((await feed.readAll()).clients, [{ client_id: 'backend', issued_until: iat }])

    await api.call('/admin/clients/one', { method: 'DELETE', headers: basicAuthorization(api.client) })
    await latchkey(['clients', 'delete', 'two'], operatorEnvironment(env))
    const [, one, two, ...more] = (await feed.readAll()).clients
    t.match([one, two], [{ client_id: 'one' }, { client_id: 'two' }])
    t.ok((one?.issued_until ?? 0) >= Math.floor(Date.now() / 1000) - 5)
    t.strictSame(more, [])
  })
}
