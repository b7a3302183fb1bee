import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { locate } from '../support/servers/install.js'
import { environment, PASSWORD, spawnService, startService, stores, temporaryFolder } from '../support/service.js'

test('F21: while the disk is full, writes get 503 and no row is damaged; with space again everything works', async (t) => {
  // Unlike a full disk, a file size limit also sends a signal.
  const hook = join(temporaryFolder(t), 'hook.mjs')
  writeFileSync(hook, `process.on('SIGXFSZ', () => {})`)
  const env = await environment(t, 'sqlite', { NODE_OPTIONS: `--import=file://${hook}` })
  const service = await spawnService(t, env)
  const { api, once } = service
  await api.signUp('ada', PASSWORD)
  const tokens = await api.tokens('ada', PASSWORD)
  const pid = String(service.process.pid)
  const limit = (bytes: string) => execFileSync('prlimit', ['--pid', pid, `--fsize=${bytes}:unlimited`])

  // No file may grow past this limit. SQLite gets the same error as on a full disk.
  limit('4096')
  for (let i = 0; i < 5; i += 1) {
    t.match(await once.login('ada', PASSWORD), { status: 503, headers: { 'retry-after': '1' } })
    t.equal((await once.refresh(tokens.refresh_token)).status, 503)
    t.equal((await once.call('/users', { json: { username: `bob-${i}`, password: PASSWORD } })).status, 503)
    t.equal((await once.logout(tokens.access_token)).status, 503, 'not acknowledged')
  }
  t.equal(await api.isActive(tokens.access_token), true, 'it can still be read')

  limit('unlimited')
  await eventually(async () => (await once.refresh(tokens.refresh_token)).status === 200)
  t.equal((await api.signUp('bob-0', PASSWORD)).status, 201, 'what was refused had not been done')
  await service.end('SIGKILL')
  const again = await spawnService(t, env)
  t.equal((await again.api.login('ada', PASSWORD)).status, 200)
  t.equal(await again.api.isActive(tokens.access_token), true)
})

test('F29: an unhandled rejection is logged, and the process goes on', async (t) => {
  const hook = join(temporaryFolder(t), 'hook.mjs')
  writeFileSync(hook, `process.on('SIGUSR2', () => void Promise.reject(new Error('nobody awaits this')))`)
  const env = await environment(t, 'sqlite', { NODE_OPTIONS: `--import=file://${hook}` })
  const service = await spawnService(t, env)
  service.process.kill('SIGUSR2')
  await eventually(() => service.output().includes('nobody awaits this'))
  t.match(service.output(), /"level":50.*unhandled rejection/)
  t.equal((await service.api.signUp('ada', PASSWORD)).status, 201)
})

test('F22: with instances whose clocks differ by 10 minutes, grace and sessions follow the clock of the store', async (t) => {
  const library = ['x86_64', 'aarch64']
    .map((machine) => locate('libfaketime.so.1', [`/usr/lib/${machine}-linux-gnu/faketime`]))
    .find(Boolean)
  if (!library) throw new Error('libfaketime is not installed: run the tests by `npm test`')
  for (const shift of ['+600s', '-600s'].slice(0, process.env.LATCHKEY_TEST_KILLS ? 2 : 1)) {
    const env = await environment(t, 'redis', { REFRESH_GRACE: '30s', REFRESH_TTL: '5m', SESSION_MAX_AGE: '5m' })
    const right = await spawnService(t, env)
    const wrong = await spawnService(t, {
      ...env,
      LD_PRELOAD: library,
      FAKETIME: shift,
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    })
    await right.api.signUp('ada', PASSWORD)
    let { refresh_token: token } = await wrong.api.tokens('ada', PASSWORD)
    for (let i = 0; i < 6; i += 1) {
      const answers = await Promise.all([right, wrong, right, wrong].map(({ api }) => api.refresh(token)))
      t.strictSame(
        answers.map(({ status }) => status),
        [200, 200, 200, 200],
        `${shift}: within the grace, on every replica`,
      )
      t.equal(new Set(answers.map(({ body }) => body.refresh_token)).size, 1, 'one lineage')
      token = answers[0]?.body.refresh_token
    }
    const { access_token: mine } = (await right.api.refresh(token)).body
    const { access_token: theirs } = (await wrong.api.refresh(token)).body
    t.equal(await right.api.isActive(mine), true)
    t.equal((await wrong.api.logout(theirs)).status, 204)
    for (const { api } of [right, wrong]) {
      for (const each of [mine, theirs]) t.equal(await api.isActive(each), false)
      t.equal((await api.refresh(token)).status, 400)
    }
    const ahead = await wrong.api.tokens('ada', PASSWORD)
    t.equal((await right.api.logout(ahead.access_token)).status, 204, 'where the token is not in its time')
    t.equal(await wrong.api.isActive(ahead.access_token), false)
    t.equal((await wrong.api.refresh(ahead.refresh_token)).status, 400)
  }
})

for (const store of stores) {
  test(`R8: ${store}: 100 replays of a dead refresh token write one audit event and end one session`, async (t) => {
    const { api, audited } = await startService(t, store, { REFRESH_GRACE: '0' })
    await api.signUp('ada', PASSWORD)
    const { refresh_token: first } = await api.tokens('ada', PASSWORD)
    const { refresh_token: second } = (await api.refresh(first)).body
    t.equal((await api.refresh(second)).status, 200)

    const answers = await Promise.all(Array.from({ length: 100 }, () => api.refresh(first)))

    for (const { status, body } of answers) t.match({ status, body }, { status: 400, body: { error: 'invalid_grant' } })
    t.equal(audited('refresh.reused').length, 1)
    t.equal(audited('session.ended').length, 1)
  })
}
