import { spawn } from 'node:child_process'
import dns from 'node:dns'
import { connect, type Socket } from 'node:net'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { type Test, test } from 'tap'
import { createPostgresDatabase } from '../support/servers/postgres.js'
import { environment, PASSWORD, redisOf, startReady } from '../support/service.js'

/** Listens there, and answers no connection attempt: the process is stopped, and its backlog is full. */
async function blackhole(t: Test, port: number, hosts: readonly string[]): Promise<void> {
  const script = `for (const host of ${JSON.stringify(hosts)})
    require('net').createServer().listen({ host, port: ${port}, backlog: 1 }, () => console.log(host))`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  let listening = 0
  for await (const chunk of child.stdout) {
    listening += String(chunk).trim().split('\n').length
    if (listening === hosts.length) break
  }
  child.kill('SIGSTOP')
  const fillers: Socket[] = []
  t.teardown(() => {
    for (const each of fillers) each.destroy()
  })
  for (const host of hosts) {
    for (let isFull = false; !isFull; ) {
      const filler = connect(port, host).on('error', () => {})
      fillers.push(filler)
      await sleep(100)
      // After a pause of this process, its timer comes before the news of the connection.
      for (let turn = 0; turn < 3; turn += 1) await setImmediate()
      isFull = filler.connecting
    }
  }
}

test('a host of a store with three addresses, of which two do not answer, is reached within the time limit of a connection', async (t) => {
  const { url, drop } = await createPostgresDatabase()
  t.teardown(drop)
  const redis = await redisOf(t)
  const address = new URL(url)
  const silent = ['127.0.0.2', '127.0.0.3']
  await blackhole(t, Number(address.port), silent)
  await blackhole(t, redis.port, silent)
  address.hostname = 'store.test'
  // The test answers for this name. Every other name goes to the resolver.
  const real = dns.lookup
  t.teardown(() => {
    dns.lookup = real
  })
  dns.lookup = ((name: string, options: dns.LookupAllOptions, done: (...args: unknown[]) => void) => {
    if (name !== 'store.test') return real(name, options, done)
    const found = [...silent, '127.0.0.1'].map((each) => ({ address: each, family: 4 }))
    process.nextTick(done, null, options.all ? found : found[0]?.address, 4)
  }) as typeof dns.lookup
  const env = await environment(t, 'sqlite')
  const { api } = await startReady(t, {
    ...env,
    DATABASE_URL: address.href,
    REDIS_URL: `redis://store.test:${redis.port}`,
  })
  t.equal((await api.signUp('ada', PASSWORD)).status, 201)
  t.equal(await api.isActive((await api.tokens('ada', PASSWORD)).access_token), true)
})
