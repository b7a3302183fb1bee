import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { PASSWORD, startService } from '../support/service.js'

/** The nice value of every thread of this process: field 19 of proc(5)'s stat. */
const niceness = () =>
  readdirSync('/proc/self/task').map((thread) => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])
  })

test('the hashing threads have a lower priority than the main thread', {
  skip: process.platform !== 'linux',
}, async (t) => {
  const { api } = await startService(t, 'sqlite', { HASH_COST: 'full' })
  const own = niceness()[0] as number
  await api.signUp('ada', PASSWORD)
  await eventually(async () => {
    await api.login('ada', PASSWORD)
    return niceness().includes(10)
  })
  const values = niceness()
  t.ok(values.filter((value) => value === 10).length >= 1, `${values}`)
  t.equal(values[0], own, 'the main thread keeps its priority')
})
