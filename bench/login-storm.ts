import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { fileURLToPath } from 'node:url'
import { createAccounts, PASSWORD, writeSignIns } from './accounts.js'
import { FORM } from './load.js'
import { type Pair, pairs } from './measure.js'
import { owned } from './owned.js'
import { BASIC, type Setting } from './setting.js'

const SECONDS = 5
const RATE = 200
const STORM = 100

export interface Storm extends Pair {
  /** Introspections that failed, of so many. */
  failed: number
  asked: number
  /** Sign-ins that were answered with 200, and those with 503: no others were. */
  accepted: number
  busy: number
}

/**
 * Does a storm of sign-ins slow introspection down? The 99th percentile in milliseconds of 200 introspections a second, at a
 * fixed rate, while 100 connections sign in as fast as they are answered, and while nothing else is done. Each introspection
 * counts from the moment at which it was due, so that one which had to wait for another is not forgotten. Who measures does
 * nothing else: the storm comes from another process.
 */
export async function measureStorm(setting: Setting, rounds: number): Promise<Storm> {
  const names = await createAccounts(setting, STORM)
  const bodies = writeSignIns(setting, names)
  // Hashing has the core that is left over: all but one of what there is.
  const { url, stop } = await setting.startService(undefined, '0,1')
  const agent = new Agent({ keepAlive: true, maxSockets: 50 })
  const signedIn = await fetch(`${url}/login`, {
    method: 'POST',
    body: new URLSearchParams({ username: names[0] as string, password: PASSWORD }),
  })
  const { access_token: token } = (await signedIn.json()) as { access_token: string }
  let asked = 0
  let failed = 0
  let accepted = 0
  let busy = 0

  function introspect(): Promise<{ status: number | undefined; text: string }> {
    const body = `token=${token}`
    const headers = { authorization: `Basic ${BASIC}`, 'content-type': FORM, 'content-length': String(body.length) }
    return new Promise((resolve, reject) => {
      const sent = request(`${url}/introspect`, { method: 'POST', headers, agent }, (answer) => {
        let text = ''
        answer.setEncoding('utf8').on('data', (chunk) => (text += chunk))
        answer.on('end', () => resolve({ status: answer.statusCode, text }))
      })
      sent.on('error', reject).end(body)
    })
  }

  /** Introspects at the fixed rate, and answers with what each took, in milliseconds. */
  async function introspectFor(seconds: number): Promise<number[]> {
    const start = performance.now()
    const pending: Promise<number>[] = []
    while (pending.length < RATE * seconds) {
      const due = start + (pending.length * 1000) / RATE
      const early = due - performance.now()
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early))
      asked += 1
      pending.push(
        introspect().then(({ status, text }) => {
          // A fast error is no result: it is told, and counts as what it took.
          if (status !== 200 || !text.startsWith('{"active":true')) failed += 1
          return performance.now() - Math.max(due, start)
        }),
      )
    }
    return Promise.all(pending)
  }

  async function p99(): Promise<number> {
    const times = await introspectFor(SECONDS)
    return times.sort((a, b) => a - b)[Math.floor(0.99 * (times.length - 1))] as number
  }

  async function p99InStorm(): Promise<number> {
    const script = fileURLToPath(new URL('../../bench/wrk/storm.lua', import.meta.url))
    const wrk = ['-t1', `-c${STORM}`, `-d${SECONDS}s`, '-s', script, `${url}/login`, '--', bodies]
    const storm = owned(spawn('wrk', wrk, { stdio: ['ignore', 'pipe', 'inherit'] }))
    let printed = ''
    storm.stdout.on('data', (chunk) => {
      printed += chunk
    })
    const ended = once(storm, 'exit')
    const loud = await p99()
    await ended
    const count = (name: string) => Number(new RegExp(`^${name}=(\\d+)`, 'm').exec(printed)?.[1])
    if (!(count('accepted') > 0) || count('other') > 0 || count('rude') > 0) {
      throw new Error(`sign-ins were answered with other than 200, or 503 and Retry-After:\n${printed}`)
    }
    accepted += count('accepted')
    busy += count('busy')
    return loud
  }

  // A sign-in comes a hundred times a second, so it takes a while until its code is compiled.
  await p99InStorm()
  accepted = busy = asked = failed = 0
  const pair = await pairs(rounds, p99InStorm, p99)
  agent.destroy()
  await stop()
  return { ...pair, failed, asked, accepted, busy }
}
