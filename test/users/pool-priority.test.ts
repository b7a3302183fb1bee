import { readFileSync } from 'node:fs'
import { readlink } from 'node:fs/promises'
import { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { PASSWORD, startService } from '../support/service.js'

/** The fields of proc(5)'s stat of a thread of this process, from the third field on. */
function statOf(thread: string | number): string[] {
  const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** The nice value: field 19. */
const niceness = (thread: string | number) => Number(statOf(thread)[16])

/** The CPU time in clock ticks of 10 ms: fields 14 and 15. */
const cpuTime = (thread: string | number) => Number(statOf(thread)[11]) + Number(statOf(thread)[12])

/** The ids of all threads of libuv's pool. Each read runs in the pool, and returns the id of its thread. */
async function poolThreads(): Promise<string[]> {
  const size = Number(process.env.UV_THREADPOOL_SIZE) || 4
  const seen = new Set<string>()
  await eventually(async () => {
    const links = await Promise.all(Array.from({ length: 32 }, () => readlink('/proc/thread-self')))
    for (const link of links) seen.add(link.split('/').at(-1) as string)
    return seen.size === size
  })
  return [...seen]
}

test('the hashing threads have a lower priority than the main thread', {
  skip: process.platform !== 'linux',
}, async (t) => {
  const before = niceness(process.pid)
  const { api } = await startService(t, 'sqlite', { HASH_COST: 'full' })
  await api.signUp('ada', PASSWORD)
  const threads = await poolThreads()
  const used = () => threads.reduce((sum, thread) => sum + cpuTime(thread), 0)
  const began = used()
  // Only hashing uses that much CPU in the pool. Meanwhile the service has lowered the priority of each thread.
  await eventually(async () => {
    await api.login('ada', PASSWORD)
    return used() > began + 20
  })

  t.strictSame(
    threads.map(niceness),
    threads.map(() => 10),
    'every thread that hashes',
  )
  t.equal(niceness(process.pid), before, 'the main thread keeps its priority')
})
