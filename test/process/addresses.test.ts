import { test } from 'tap'
import { Api } from '../support/api.js'
import { environment, PASSWORD, spawnService } from '../support/service.js'

test('HOST=:: listens on IPv6 and IPv4, TRUST_PROXY knows an IPv4 proxy there, and addresses have no ::ffff: prefix', async (t) => {
  const env = await environment(t, 'sqlite', { HOST: '::', TRUST_PROXY: '127.0.0.0/8' })
  const { api: four, output } = await spawnService(t, env)
  const six = new Api(four.url.replace('127.0.0.1', '[::1]'), four.client)
  await four.signUp('ada', PASSWORD)
  const forwarded = { 'x-forwarded-for': '203.0.113.9' }
  const seen = async (api: Api, headers: Record<string, string> = {}) => {
    const { body } = await api.call('/login', { json: { username: 'ada', password: PASSWORD }, headers })
    const { sessions } = (await api.call('/sessions', { bearer: body.access_token })).body
    return sessions.find(({ current }: { current: boolean }) => current).ip
  }
  t.equal(await seen(four), '127.0.0.1')
  t.equal(await seen(four, forwarded), '203.0.113.9', 'the proxy is trusted')
  t.equal(await seen(six), '::1')
  t.equal(await seen(six, forwarded), '::1', 'this proxy is not')
  t.equal(await seen(four, { 'x-forwarded-for': '::ffff:203.0.113.9' }), '203.0.113.9')
  t.notMatch(output(), /"ip":"::ffff:/)
})
