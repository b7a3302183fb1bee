import { test } from 'tap'
import { type Answer, basicAuthorization } from '../support/api.js'
import { createClient } from '../support/clients.js'
import { eventually } from '../support/eventually.js'
import { Feed, getRevocations } from '../support/feed.js'
import { keyFileSettings, makeKey, writeKeyFile } from '../support/keys.js'
import { scrape } from '../support/scrape.js'
import { anyStore, PASSWORD, type RunningService, startService, stores } from '../support/service.js'

for (const store of stores) {
  test(`${store}: a revocation is in every answer that began after its acknowledgement`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const feed = await new Feed(api).readAll()
    t.strictSame([feed.sids, feed.clients], [[], []])
    t.ok(Math.abs(feed.epoch - Date.now() / 1000) < 30, 'the epoch is the time of the first start')
    const acknowledged: { sid: string; at: number }[] = []
    let isDone = false
    const reader = (async () => {
      while (!isDone) {
        await feed.read()
        for (const { sid, at } of acknowledged) {
          if (at < feed.freshUntil && !feed.sids.includes(sid)) t.fail('a revocation is missing')
        }
      }
    })()
    for (let i = 0; i < 20; i += 1) {
      const { access_token: token, sid } = await api.tokens('ada', PASSWORD)
      t.equal((await api.logout(token)).status, 204)
      acknowledged.push({ sid, at: performance.now() })
    }
    isDone = true
    await reader
    await feed.readAll()
    t.strictSame(
      feed.sids,
      acknowledged.map(({ sid }) => sid),
      'each once, in their order',
    )
    t.equal(feed.losses, 0)
  })

  test(`${store}: wait holds an answer back until there is a revocation, and no longer than asked`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { access_token: token, sid } = await api.tokens('ada', PASSWORD)
    const feed = await new Feed(api).readAll()
    // The first request with a cursor makes the instance read the feed into memory. With Redis, a heartbeat may come between
    // the two reads. Then the cursor is not in memory, and the request is not held back.
    await feed.read()

    const began = performance.now()
    const empty = await feed.read(300)
    const took = performance.now() - began
    t.strictSame(empty.revocations, [])
    t.ok(took > 100, `it was held back for ${took} ms`)
    t.ok(empty.read_after_ms > 100 && empty.read_after_ms < took, 'the store was read at the end of the wait')

    const held = feed.read(1000)
    const sent = performance.now()
    await api.logout(token)
    const isSlow = performance.now() - sent > 900
    let news = await held
    // The sign-out took longer than the wait: the next answer has it.
    if (isSlow && news.revocations.length === 0) news = await feed.read(1000)
    t.strictSame(news.revocations, [{ sids: [sid] }])
    t.ok(news.read_after_ms < 1000, 'the news did not wait for the end of the request')
  })

  test(`${store}: S4 a cursor that the feed does not know begins again under another name`, async (t) => {
    const { api } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { access_token: token, sid } = await api.tokens('ada', PASSWORD)
    await api.logout(token)
    const feed = await new Feed(api).readAll()
    const [milliseconds = '', number = '', mark = ''] = (feed.cursor as string).split('-')
    const unknown = {
      'ahead of the store': `${Number(milliseconds) + 60_000}-${Number(number) + 1000}-${mark}`,
      'older than all': '1-0-abcdefgh',
      'another entry with this id': `${milliseconds}-${number}-abcdefgh`,
      'without a mark': '1795290012345-0',
      'another time': `1-${number}-${mark}`,
    }
    for (const [what, after] of Object.entries(unknown)) {
      const { status, body } = await getRevocations(api, { after })
      t.equal(status, 200, what)
      t.not(body.feed, feed.feed, what)
      t.strictSame(body.revocations, [{ sids: [sid] }], `${what}: from the beginning`)
      const next = await getRevocations(api, { after: body.cursor, wait: 30 })
      t.equal(next.body.feed, body.feed, `${what}: and the name stays`)
    }
    const again = await new Feed(api).readAll()
    t.equal(again.feed, feed.feed, 'a follower that begins sees the name of the store')
  })
}

for (const store of anyStore) {
  test(`${store}: only a client with the scope introspect reads the revocations`, async (t) => {
    const { api, env } = await startService(t, store)
    await api.signUp('ada', PASSWORD)
    const { access_token: token } = await api.tokens('ada', PASSWORD)
    const other = await createClient(env, 'backend', { scopes: ['admin'] })

    t.match(await api.call('/revocations'), { status: 401, body: { error: 'invalid_client' } })
    t.match(await getRevocations(api, {}, { id: 'todo', secret: 'wrong' }), { status: 401 })
    t.match(await api.call('/revocations', { bearer: token }), { status: 401 })
    t.match(await getRevocations(api, {}, other), { status: 403, body: { error: 'insufficient_scope' } })
    const { status, headers } = await getRevocations(api)
    t.equal(status, 200)
    t.equal(headers['cache-control'], 'no-store')
    t.equal(headers['content-type'], 'application/json; charset=utf-8')
    t.match(await api.call('/revocations', { method: 'POST', headers: basicAuthorization(api.client) }), {
      status: 405,
    })
  })

  test(`${store}: W13 a client's own token reads the revocations by the rules of /introspect`, async (t) => {
    const keys = keyFileSettings(writeKeyFile(t, await makeKey('ES256')))
    const { api } = await startService(t, store, { ...keys, AUDIENCE: 'web,todo' })
    const ask = async (form: Record<string, string>) => {
      const call = { form: { grant_type: 'client_credentials', ...form }, headers: basicAuthorization(api.client) }
      return (await api.call('/token', call)).body.access_token as string
    }
    const reserved = await ask({ scope: 'introspect', audience: 'http://latchkey.test' })
    t.match(await api.call('/revocations', { bearer: reserved }), { status: 200 })
    t.match(await api.call('/revocations', { bearer: await ask({}) }), { status: 401 })
  })

  test(`${store}: a wrong parameter of the query is 400, and an unknown one is ignored`, async (t) => {
    const { api } = await startService(t, store)
    const { cursor } = (await getRevocations(api)).body
    const refused = {
      after: ['', 'x', '1', '-1-2-abc', `${cursor}x`.padEnd(60, 'x'), '1e3-0-a', `${cursor} `],
      wait: ['', '-1', '1001', '1.5', '01', '1e2', 'true', '99999999999999999999'],
    }
    for (const [name, values] of Object.entries(refused)) {
      for (const value of values) {
        const answer = await getRevocations(api, { [name]: value })
        t.match(answer, { status: 400, body: { error: 'invalid_request' } }, `${name}=${value}`)
        t.match(answer.body.error_description, new RegExp(`${name} must be`), `${name}=${value} is explained`)
      }
    }
    t.match(await api.call('/revocations?wait=0&wait=0', { headers: basicAuthorization(api.client) }), { status: 400 })
    t.match(await getRevocations(api, { after: cursor, wait: 1000, colour: 'red' }), { status: 200 })
  })
}

test('S8 the service stops without a delay while answers are held back', async (t) => {
  const service = await startService(t, 'sqlite')
  const feed = await new Feed(service.api).readAll()
  const { answers, sentAt } = await hold(service, feed.cursor as string, 20)

  // On a slow machine the requests may end before the service.
  const areHeld = performance.now() - sentAt < 500
  await service.close()

  for (const { status, body } of await Promise.all(answers)) {
    t.equal(status, 200)
    t.ok(body.read_after_ms > 0, 'each is a whole answer')
    if (areHeld) t.ok(body.read_after_ms < 1000, 'the service did not wait for the end of the requests')
  }
})

/**
 * Sends so many requests, and waits until the service holds back all of them. On a busy machine one of them may get its
 * answer earlier. Then all are sent again.
 */
async function hold({ api, managementUrl }: RunningService, after: string, count: number) {
  for (;;) {
    let answered = 0
    const sentAt = performance.now()
    const answers: Promise<Answer>[] = Array.from({ length: count }, async () => {
      const answer = await getRevocations(api, { after, wait: 1000 })
      answered += 1
      return answer
    })
    await eventually(async () => {
      const { value } = await scrape(managementUrl)
      return answered > 0 || value('latchkey_followers_waiting') === count
    })
    if (answered === 0) return { answers, sentAt }
    await Promise.all(answers)
  }
}
