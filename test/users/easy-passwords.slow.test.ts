import { test } from 'tap'
import { PASSWORD, startService } from '../support/service.js'

test('L5: passwords that are slow to estimate leave the event loop to other requests, and each gets an answer', async (t) => {
  const { api } = await startService(t, 'sqlite')
  await api.signUp('ada', PASSWORD)
  const hostile = ['1'.repeat(255).concat('2'), 'p@$$w0rd1!|3'.repeat(21), '0123456789'.repeat(25), '(|/\\)'.repeat(51)]
  const begin = performance.eventLoopUtilization()
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, i) => api.signUp(`eve${i}`, hostile[i % 4] as string)),
  )
  const { utilization } = performance.eventLoopUtilization(begin)
  t.ok(utilization < 0.5, `${utilization} of the event loop was in use`)
  t.ok(
    answers.every(({ status }) => status === 400 || status === 201),
    `${answers.map(({ status }) => status)}`,
  )

  const storm = await Promise.all(
    Array.from({ length: 150 }, (_, i) =>
      api.call('/users', { json: { username: `bob${i}`, password: hostile[i % 4] as string } }),
    ),
  )
  const refused = storm.filter(({ status }) => status === 503)
  t.ok(refused.length > 0, 'past the queue 503')
  for (const { headers } of refused) t.match(headers['retry-after'], /^[1-9]/)
  t.equal((await api.signUp('carl', PASSWORD)).status, 201, 'and the next password is estimated')
})
