import { Agent, request } from 'node:http'
import { createInterface } from 'node:readline'
import { FORM_TYPE } from './load.js'

/**
 * Introspects at a fixed rate. The probe is a process of its own, because it must not be late itself. Each line of input is a
 * number of seconds. Each line of output has the number of requests, the number that failed, and the 99th percentile in
 * milliseconds. A request counts from the moment at which it was due, so a wait behind another request counts too.
 */
const RATE = 200
const { URL_TO_ASK = '', BASIC_CREDENTIALS = '', TOKEN = '' } = process.env
const agent = new Agent({ keepAlive: true, maxSockets: 50 })
const body = `token=${TOKEN}`
const headers = {
  authorization: `Basic ${BASIC_CREDENTIALS}`,
  'content-type': FORM_TYPE,
  'content-length': String(body.length),
}

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
        // An error is printed, and counts with the time that it took.
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
