import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createAccounts, PASSWORD, writeSignIns } from './accounts.js'
import { killOnExit } from './kill-on-exit.js'
import { type Comparison, measurePair } from './measure.js'
import { BASIC_CREDENTIALS, type Setting } from './setting.js'
import { startChild } from './start-child.js'

const SECONDS = 5
const STORM = 100
const STORM_SCRIPT = fileURLToPath(new URL('../../bench/wrk/storm.lua', import.meta.url))

export interface Storm extends Comparison {
  /** Introspections that failed, and all introspections. */
  failed: number
  asked: number
  /** Sign-ins with the answers 200 and 503. Any other answer fails the bench. */
  accepted: number
  busy: number
}

/**
 * Measures the 99th percentile of introspection in milliseconds, at a fixed rate of 200 a second. Once 100 connections sign in
 * as fast as they get answers, and once nothing else runs. The probe, the storm and the service are three processes.
 */
export async function measureStorm(setting: Setting, rounds: number): Promise<Storm> {
  const names = await createAccounts(setting, STORM)
  const bodies = writeSignIns(setting, names)
  // Hashing uses all cores but one.
  const { url, stop } = await setting.startService(undefined, '0,1')
  const signedIn = await fetch(`${url}/login`, {
    method: 'POST',
    body: new URLSearchParams({ username: names[0] as string, password: PASSWORD }),
  })
  const { access_token: TOKEN } = (await signedIn.json()) as { access_token: string }
  const probe = startChild('./probe.js', { URL_TO_ASK: `${url}/introspect`, BASIC_CREDENTIALS, TOKEN })
  let [asked, failed, accepted, busy] = [0, 0, 0, 0]

  async function p99(): Promise<number> {
    const measured = await probe.ask(String(SECONDS))
    asked += measured.asked
    failed += measured.failed
    return measured.p99
  }

  async function p99InStorm(): Promise<number> {
    const wrk = ['-t1', `-c${STORM}`, `-d${SECONDS}s`, '-s', STORM_SCRIPT, `${url}/login`]
    const storm = killOnExit(spawn('wrk', [...wrk, '--', bodies], { stdio: ['ignore', 'pipe', 'inherit'] }))
    let printed = ''
    storm.stdout.on('data', (chunk) => {
      printed += chunk
    })
    const ended = once(storm, 'close')
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

  // A sign-in runs about a hundred times a second, so the JIT compiler needs a while.
  await p99InStorm()
  const pair = await measurePair(rounds, p99InStorm, p99)
  probe.end()
  await stop()
  return { ...pair, failed, asked, accepted, busy }
}
