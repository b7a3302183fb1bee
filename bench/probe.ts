import { Agent, request } from 'node:http'
import { createInterface } from 'node:readline'
import { FORM } from './load.js'

/**
 * Introspects at a fixed rate, as a process of its own: who measures a delay must not be late itself. For each line that it
 * reads, a number of seconds, it prints a line: how many it asked, how many failed, and the 99th percentile in milliseconds.
 * Each counts from the moment at which it was due, so that one which had to wait for another is not forgotten.
 */
const RATE = 200
const { URL_TO_ASK = '', BASIC = '', TOKEN = '' } = process.env
const agent = new Agent({ keepAlive: true, maxSockets: 50 })
const body = `token=${TOKEN}`
const headers = { authorization: `Basic ${BASIC}`, 'content-type': FORM, 'content-length': String(body.length) }

function introspect(): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const sent = request(URL_TO_ASK, { method: 'POST', headers, agent }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (chunk) => (text += chunk))
      answer.on('end', () => resolve(answer.statusCode === 200 && text.startsWith('{"active":true')))
    })
    sent.on('error', reject).end(body)
  })
}

async function introspectFor(seconds: number): Promise<string> {
  const start = performance.now()
  let failed = 0
  const pending: Promise<number>[] = []
  while (pending.length < RATE * seconds) {
    const due = start + (pending.length * 1000) / RATE
    const early = due - performance.now()
    if (early > 0) await new Promise((resolve) => setTimeout(resolve, early))
    pending.push(
      introspect().then((isRight) => {
        // A fast error is no result: it is told, and counts as what it took.
        if (!isRight) failed += 1
        return performance.now() - due
      }),
    )
  }
  const times = (await Promise.all(pending)).sort((a, b) => a - b)
  return JSON.stringify({ asked: times.length, failed, p99: times[Math.floor(0.99 * (times.length - 1))] })
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${await introspectFor(Number(line))}\n`)
}
