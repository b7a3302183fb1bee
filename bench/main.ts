import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { installPrograms } from '../test/support/servers/install.js'
import { measureCost } from './follow-cost.js'
import { measureFootprint } from './footprint.js'
import { measureGrowth } from './growth.js'
import { measureStorm } from './login-storm.js'
import { cpuChart, describeRequest, performancePage, type Results } from './report.js'
import { measureRequests } from './requests.js'
import { measureRevocations } from './revocations.js'
import { type Setting, startSetting } from './setting.js'
import { measureSidecar } from './sidecar.js'
import { measureSignIns } from './sign-in.js'

/**
 * `npm run bench` measures everything in less than fifteen minutes, and writes docs/performance.md.
 * `node dist/bench/main.js requests [PATTERN]` measures one part and prints it. BENCH_AGAINST=FOLDER compares its requests with
 * another checkout that is built in that folder.
 */
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5)
const [, , part, pattern] = process.argv
const PARTS = ['latency', 'load', 'window'] as const
installPrograms('bench')
const began = performance.now()
const say = (text: string) => process.stdout.write(`${text}\n`)
const show = (value: unknown) => say(JSON.stringify(value, null, 2))

/** Each part has its own empty Redis. */
async function inSetting<Result>(name: string, measure: (setting: Setting) => Promise<Result>): Promise<Result> {
  say(`${name}, after ${Math.round((performance.now() - began) / 1000)} s`)
  const setting = await startSetting()
  try {
    return await measure(setting)
  } finally {
    await setting.stop()
  }
}

async function measureAll(): Promise<Results> {
  const requests = await inSetting('requests', (setting) => measureRequests(setting, ROUNDS, /./))
  for (const figure of requests.figures) say(describeRequest(figure))
  const signIns = await inSetting('sign-ins', (setting) => measureSignIns(setting, ROUNDS))
  const storm = await inSetting('a storm of sign-ins', (setting) => measureStorm(setting, ROUNDS))
  const local = await inSetting('local verification', ({ redisUrl }) => measureCost({ url: redisUrl }))
  const footprint = await inSetting('footprint', measureFootprint)
  const growth = await inSetting('growth', (setting) => measureGrowth(setting, 4, [10_000, 100_000, 1_000_000]))
  const sidecar = await inSetting('the sidecar', (setting) => measureSidecar(setting, ROUNDS))
  const revocations = await inSetting('revocations', (setting) =>
    measureRevocations(setting, (store) => (store === 'sqlite' ? PARTS : PARTS.slice(0, 2))),
  )
  return {
    requests,
    signIns,
    storm,
    local,
    footprint,
    growth,
    sidecar,
    revocations,
    seconds: (performance.now() - began) / 1000,
  }
}

switch (part) {
  case undefined: {
    const results = await measureAll()
    const docs = (name: string) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url))
    writeFileSync(docs('performance.svg'), cpuChart(results))
    writeFileSync(docs('performance.md'), performancePage(results))
    say(performancePage(results))
    break
  }
  case 'requests': {
    const { figures, redis } = await inSetting(part, (setting) =>
      measureRequests(setting, ROUNDS, new RegExp(pattern ?? '')),
    )
    for (const figure of figures) say(describeRequest(figure))
    for (const { name, cpu } of redis) say(`${name.padEnd(24)} ${cpu.toFixed(1).padStart(6)} µs of Redis`)
    break
  }
  case 'sign-ins':
    show(await inSetting(part, (setting) => measureSignIns(setting, ROUNDS)))
    break
  case 'storm':
    show(await inSetting(part, (setting) => measureStorm(setting, ROUNDS)))
    break
  case 'local':
    show(await inSetting(part, ({ redisUrl }) => measureCost({ url: redisUrl })))
    break
  case 'footprint':
    show(await inSetting(part, measureFootprint))
    break
  case 'growth':
    show(await inSetting(part, (setting) => measureGrowth(setting, 3, [10_000, Number(pattern ?? 100_000)])))
    break
  case 'revocations':
    await inSetting(part, (setting) =>
      measureRevocations(setting, () => PARTS.filter((each) => !pattern || each === pattern)),
    )
    break
  case 'sidecar':
    show(await inSetting(part, (setting) => measureSidecar(setting, ROUNDS)))
    break
  default:
    say(
      'there is: requests [PATTERN], sign-ins, storm, local, footprint, growth [SESSIONS], revocations [PART], sidecar; or nothing: all of it',
    )
    process.exitCode = 1
}
process.exit()
