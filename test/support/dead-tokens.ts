import type { Test } from 'tap'
import type { Api, Tokens } from './api.js'

/** Expects that the session of these tokens has ended: introspection, a refresh and a route for people refuse them. */
export async function expectDead(t: Test, api: Api, { access_token, refresh_token }: Tokens): Promise<void> {
  t.strictSame((await api.introspect(access_token)).body, { active: false })
  t.equal((await api.refresh(refresh_token)).status, 400)
  t.equal((await api.call('/sessions', { bearer: access_token })).status, 401)
}
