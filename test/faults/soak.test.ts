import { test } from 'tap'
import { soak } from '../support/soak.js'

/** `npm run soak` runs for an hour. */
const SECONDS = Number(process.env.LATCHKEY_TEST_SOAK ?? 20)

test(`F30: after ${SECONDS} s of sign-ins and hostile requests, memory, handles and keys are back at their first values`, async (t) => {
  const { requests, unexpected, rss, handles, keys } = await soak(t, SECONDS, (line) => t.comment(line))
  t.comment(
    `${requests} requests; ${rss.base} MiB after the warm-up, ${rss.end} in the end; handles ${handles.base} and ` +
      `${handles.end}; keys ${keys.base} and ${keys.end}`,
  )
  t.equal(unexpected, 0)
  t.ok(rss.end - rss.base <= 64, `${rss.end - rss.base} MiB more`)
  t.ok(handles.end <= handles.base + 2, `${handles.end} handles, of ${handles.base}`)
  t.ok(keys.end <= keys.base, `${keys.end} keys, of ${keys.base}`)
  t.strictSame(keys.endless, [], 'every key has an end')
})
