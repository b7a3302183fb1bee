import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { summarise } from './measure.js'
import { owned } from './owned.js'
import { startServer } from './server.js'

/**
 * Does a storm of sign-ins slow introspection down? 200 introspections a second, at a fixed rate, while nothing else is
 * done and while 100 connections sign in as fast as they are answered; in turn, several rounds. Each introspection counts
 * from the moment at which it was due, so that one which had to wait for another is not forgotten.
 */
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5)
const SECONDS = Number(process.env.BENCH_SECONDS ?? 5)
const RATE = 200
const STORM = 100
const PASSWORD = 'correct horse battery staple'
const url = 'http://127.0.0.1:7320'
const readiness = 'http://127.0.0.1:7321/readyz'
const client = { id: 'bench', secret: 'kW3Xr8Jq1Zt6Vb9Nc4Mf7Ls2Hd5Gp0Ya' }
const redisPort = 7387
const folder = mkdtempSync(join(tmpdir(), 'latchkey-bench-'))
const redis = owned(
  spawn('redis-server', ['--port', String(redisPort), '--bind', '127.0.0.1', '--save', '', '--dir', folder], {
    stdio: 'ignore',
  }),
)

interface Answered {
  status: number
  retryAfter: string | undefined
  text: string
}

const agent = new Agent({ keepAlive: true, maxSockets: 50 })

function post(path: string, body: string, headers: Record<string, string>, by: Agent = agent): Promise<Answered> {
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

const json = { 'content-type': 'application/json' }
const signIn = (username: string, by?: Agent) =>
  post('/login', JSON.stringify({ username, password: PASSWORD }), json, by)

let failures = 0

/** Introspects at the fixed rate, and answers with what each took, in milliseconds. */
async function introspectFor(seconds: number, token: string): Promise<number[]> {
  const authorization = `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}`
  const headers = { authorization, 'content-type': 'application/x-www-form-urlencoded' }
  const start = performance.now()
  const pending: Promise<number>[] = []
  while (pending.length < RATE * seconds) {
    const due = start + (pending.length * 1000) / RATE
    const early = due - performance.now()
    if (early > 0) await new Promise((resolve) => setTimeout(resolve, early))
    pending.push(
      post('/introspect', `token=${token}`, headers).then(({ status, text }) => {
        // A fast error is no result: it is told, and counts as what it took.
        if (status !== 200 || !text.startsWith('{"active":true')) failures += 1
        return performance.now() - Math.max(due, start)
      }),
    )
  }
  return Promise.all(pending)
}

/** 100 connections that sign in as fast as they are answered, until told to stop. */
function storm() {
  const own = new Agent({ keepAlive: true, maxSockets: STORM })
  const counts: Record<string, number> = {}
  let isOver = false
  const callers = Array.from({ length: STORM }, async (_, i) => {
    while (!isOver) {
      const { status, retryAfter } = await signIn(`user${i}`, own)
      counts[status] = (counts[status] ?? 0) + 1
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
      return counts
    },
  }
}

const quantile = (values: readonly number[], q: number) =>
  [...values].sort((a, b) => a - b)[Math.floor(q * (values.length - 1))] as number

try {
  const service = await startServer(
    '../src/server.js',
    {
      NODE_ENV: 'test',
      PORT: '7320',
      MANAGEMENT_PORT: '7321',
      LOG_LEVEL: 'error',
      DATABASE_URL: `sqlite:${join(folder, 'bench.db')}`,
      REDIS_URL: `redis://127.0.0.1:${redisPort}`,
      BOOTSTRAP_CLIENT: `${client.id}:${client.secret}`,
    },
    url,
    readiness,
    // Hashing has the core that is left over: all but one of what there is.
    '0,1',
  )
  try {
    for (let i = 0; i < STORM; i += 1) {
      const { status, text } = await post('/users', JSON.stringify({ username: `user${i}`, password: PASSWORD }), json)
      if (status !== 201) throw new Error(`sign-up answered ${status} ${text}`)
    }
    const { access_token: token } = JSON.parse((await signIn('user0')).text)
    await introspectFor(2, token)
    failures = 0

    const [idle, stormy, ratios]: [number[], number[], number[]] = [[], [], []]
    const total: Record<string, number> = {}
    for (let round = 0; round < ROUNDS; round += 1) {
      const quiet = quantile(await introspectFor(SECONDS, token), 0.99)
      const running = storm()
      const loud = quantile(await introspectFor(SECONDS, token), 0.99)
      for (const [status, count] of Object.entries(await running.stop())) total[status] = (total[status] ?? 0) + count
      idle.push(quiet)
      stormy.push(loud)
      ratios.push(loud / quiet)
      process.stdout.write(
        `round ${round + 1}: p99 idle ${quiet.toFixed(2)} ms, in the storm ${loud.toFixed(2)} ms, ratio ${(loud / quiet).toFixed(2)}\n`,
      )
    }
    const [q, l, r] = [summarise(idle), summarise(stormy), summarise(ratios)]
    process.stdout.write(
      `introspection's p99 at ${RATE}/s: idle ${q.median.toFixed(2)} ms, in a storm of ${STORM} connections ` +
        `${l.median.toFixed(2)} ms, ratio ${r.median.toFixed(2)} (${r.low.toFixed(2)}–${r.high.toFixed(2)})\n` +
        `introspections that failed: ${failures} of ${2 * ROUNDS * SECONDS * RATE}\n` +
        `sign-ins by status: ${JSON.stringify(total)}, ${((total[200] ?? 0) / (ROUNDS * SECONDS)).toFixed(0)} a second with success\n`,
    )
  } finally {
    await service.stop()
  }
} finally {
  agent.destroy()
  redis.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
}
