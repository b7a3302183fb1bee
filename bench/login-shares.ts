import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createAccounts, PASSWORD, writeSignIns } from './accounts.js'
import { killOnExit } from './kill-on-exit.js'
import { BASIC_CREDENTIALS, startSetting } from './setting.js'
import { startChild } from './start-child.js'

/**
 * Measures the harm of a storm of sign-ins on 100 connections, from one address or from 100. One measure is the 99th percentile
 * of introspection in milliseconds, at 200 a second. The other is four other sign-ins a second, each from an own address.
 *
 *     node dist/bench/login-shares.js [CHECKOUT]      # compare with another checkout that is built
 */
const SECONDS = 5
const STORM = 100
const STORM_SCRIPT = fileURLToPath(new URL('../../bench/wrk/storm.lua', import.meta.url))
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3)

const setting = await startSetting()
try {
  Object.assign(setting.env, { TRUST_PROXY: '127.0.0.1' })
  const names = await createAccounts(setting, STORM + 1)
  const bodies = writeSignIns(setting, names.slice(0, STORM))
  const { url } = await setting.startService(process.argv[2], '0,1')
  const signIn = (name: string | undefined, address: string) =>
    fetch(`${url}/login`, {
      method: 'POST',
      body: new URLSearchParams({ username: name as string, password: PASSWORD }),
      headers: { 'x-forwarded-for': address },
    })
  const { access_token: TOKEN } = (await (await signIn(names[0], '192.0.2.2')).json()) as { access_token: string }
  const probe = startChild('./probe.js', { URL_TO_ASK: `${url}/introspect`, BASIC_CREDENTIALS, TOKEN })
  let others = 0

  async function measure(): Promise<string> {
    const statuses: Promise<number>[] = []
    const probed = probe.ask(String(SECONDS))
    for (let i = 0; i < SECONDS * 4; i += 1) {
      others += 1
      statuses.push(signIn(names.at(-1), `10.1.${others >> 8}.${others & 255}`).then(({ status }) => status))
      await sleep(250)
    }
    const { p99 } = await probed
    const accepted = (await Promise.all(statuses)).filter((status) => status === 200).length
    return `introspection's p99 ${p99.toFixed(1)} ms, ${accepted} of ${statuses.length} others signed in`
  }

  for (let round = 0; round <= ROUNDS; round += 1) {
    const told = [`no storm: ${await measure()}`]
    for (const from of ['one', 'many']) {
      const args = ['-t1', `-c${STORM}`, `-d${SECONDS + 1}s`, '-s', STORM_SCRIPT, `${url}/login`]
      const storm = killOnExit(spawn('wrk', [...args, '--', bodies, from], { stdio: ['ignore', 'pipe', 'inherit'] }))
      let printed = ''
      storm.stdout.on('data', (chunk) => {
        printed += chunk
      })
      const ended = once(storm, 'close')
      await sleep(500)
      told.push(`${from}: ${await measure()}`)
      await ended
      told.push(`  of the storm ${printed.match(/^(accepted|busy)=\d+/gm)?.join(', ')}`)
    }
    // The first round does not count, because the JIT compiler still works.
    if (round > 0) process.stdout.write(`${told.join('\n')}\n\n`)
  }
  probe.end()
} finally {
  await setting.stop()
}
