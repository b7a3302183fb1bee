import { Agent, request } from 'node:http'
import { createAccounts, PASSWORD } from './accounts.js'
import { type Pair, pairs } from './measure.js'
import { BASIC, type Setting } from './setting.js'

const SECONDS = 5
const RATE = 200
const STORM = 100

interface Answered {
  status: number
  retryAfter: string | undefined
  text: string
}

export interface Storm extends Pair {
  /** Introspections that failed, of so many. */
  failed: number
  asked: number
  /** Sign-ins by status. */
  signIns: Record<string, number>
}

/**
 * Does a storm of sign-ins slow introspection down? The 99th percentile in milliseconds of 200 introspections a second, at a
 * fixed rate, while 100 connections sign in as fast as they are answered, and while nothing else is done. Each introspection
 * counts from the moment at which it was due, so that one which had to wait for another is not forgotten.
 */
export async function measureStorm(setting: Setting, rounds: number): Promise<Storm> {
  const names = await createAccounts(setting, STORM)
  // Hashing has the core that is left over: all but one of what there is.
  const { url, stop } = await setting.startService(undefined, '0,1')
  const agent = new Agent({ keepAlive: true, maxSockets: 50 })
  const { text } = await signIn(names[0] as string, agent)
  const { access_token: token } = JSON.parse(text)
  const signIns: Record<string, number> = {}
  let asked = 0
  let failed = 0

  async function p99(): Promise<number> {
    const times = await introspectFor(SECONDS)
    return times.sort((a, b) => a - b)[Math.floor(0.99 * (times.length - 1))] as number
  }

  function post(path: string, body: string, headers: Record<string, string>, by: Agent): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const all = { ...headers, 'content-length': String(Buffer.byteLength(body)) }
      const sent = request(url + path, { method: 'POST', headers: all, agent: by }, (answer) => {
        let text = ''
        answer.setEncoding('utf8').on('data', (chunk) => (text += chunk))
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, retryAfter: answer.headers['retry-after'], text }),
        )
      })
      sent.on('error', reject).end(body)
    })
  }

  function signIn(username: string, by: Agent): Promise<Answered> {
    const headers = { 'content-type': 'application/json' }
    return post('/login', JSON.stringify({ username, password: PASSWORD }), headers, by)
  }

  /** Introspects at the fixed rate, and answers with what each took, in milliseconds. */
  async function introspectFor(seconds: number): Promise<number[]> {
    const headers = { authorization: `Basic ${BASIC}`, 'content-type': 'application/x-www-form-urlencoded' }
    const start = performance.now()
    const pending: Promise<number>[] = []
    while (pending.length < RATE * seconds) {
      const due = start + (pending.length * 1000) / RATE
      const early = due - performance.now()
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early))
      asked += 1
      pending.push(
        post('/introspect', `token=${token}`, headers, agent).then(({ status, text }) => {
          // A fast error is no result: it is told, and counts as what it took.
          if (status !== 200 || !text.startsWith('{"active":true')) failed += 1
          return performance.now() - Math.max(due, start)
        }),
      )
    }
    return Promise.all(pending)
  }

  /** 100 connections that sign in as fast as they are answered, until told to stop. */
  function storm() {
    const own = new Agent({ keepAlive: true, maxSockets: STORM })
    let isOver = false
    const callers = names.map(async (name) => {
      while (!isOver) {
        const { status, retryAfter } = await signIn(name, own)
        signIns[status] = (signIns[status] ?? 0) + 1
        if (status !== 200 && !retryAfter) throw new Error(`a sign-in answered ${status} without Retry-After`)
        // Who is refused comes again ten times a second, where Retry-After asks for a second; and not in step with the others.
        if (status !== 200) await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 100))
      }
    })
    return {
      async stop() {
        isOver = true
        await Promise.all(callers)
        own.destroy()
      },
    }
  }

  await introspectFor(2)
  const pair = await pairs(
    rounds,
    async () => {
      const running = storm()
      const loud = await p99()
      await running.stop()
      return loud
    },
    p99,
  )
  agent.destroy()
  await stop()
  return { ...pair, failed, asked, signIns }
}
