import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeJwt, importJWK, type JWK, SignJWT } from 'jose'
import { type Test, test } from 'tap'
import { type Algorithm, addKey, generateKey, promoteKey, removeKey } from '../../src/tokens/key-file.js'
import type { Tokens } from '../support/api.js'
import { decodeHeader } from '../support/decode.js'
import { eventually } from '../support/eventually.js'
import { keyFileSettings } from '../support/keys.js'
import { environment, PASSWORD, type SpawnedService, spawnService, temporaryFolder } from '../support/service.js'
import { claimsWithGenuineJti } from '../support/stamped.js'

const PEOPLE = ['ada', 'grace', 'mary']

test('F27: two key rotations under load on two replicas fail no request, and a removed key is refused after the reload', async (t) => {
  const path = join(temporaryFolder(t), 'keys.json')
  const add = (alg: Algorithm): string => {
    const key = generateKey(alg)
    addKey(path, key, 'second')
    return key.kid
  }
  let current = add('ES256')
  // SQLite has no timeout that a busy machine could exceed. So each failure is a failure of the keys.
  const env = await environment(t, 'sqlite', { ACCESS_TTL: '3s', ...keyFileSettings(path) })
  const replicas = [await spawnService(t, env), await spawnService(t, env)] as const
  for (const name of PEOPLE) await replicas[0].api.signUp(name, PASSWORD)
  const load = startLoad(t, replicas)

  for (const alg of ['RS256', 'EdDSA'] as const) {
    // A long-lived token of the outgoing key. Only the removal of the key can end it.
    const { access_token: sample } = await replicas[0].api.tokens('ada', PASSWORD)
    const old = await outlasting(sample, path, current)
    for (const { api } of replicas) t.equal(await api.isActive(old), true)

    const next = add(alg)
    for (const { api } of replicas) await eventually(async () => (await publishedKids(api)).includes(next))
    t.equal(await signingKid(replicas[0]), current, 'second in the file: known, and not signing')

    promoteKey(path, next)
    for (const replica of replicas) await eventually(async () => (await signingKid(replica)) === next)
    for (const { api } of replicas) t.equal(await api.isActive(old), true, 'what the old key signed lives on')
    // Every token of the old key was issued before this token, so it has expired when this token has.
    const { access_token: last } = await replicas[0].api.tokens('ada', PASSWORD)
    for (const { api } of replicas) await eventually(async () => !(await api.isActive(last)))

    removeKey(path, current)
    const removed = Date.now()
    for (const [index, { api, output }] of replicas.entries()) {
      const answers: { at: number; active: boolean }[] = []
      await eventually(async () => {
        const at = Date.now()
        answers.push({ at, active: await api.isActive(old) })
        return answers.at(-1)?.active === false
      })
      const reloaded = await readAt(output, [next])
      t.equal(answers.filter(({ at, active }) => active && at > reloaded + 1000).length, 0)
      t.comment(
        `${alg}, replica ${index}: read ${reloaded - removed} ms after the removal, refused by ${Date.now() - removed}`,
      )
    }
    current = next
  }

  const { requests, failures } = await load.stop()
  t.strictSame(failures, [])
  t.ok(requests.refresh > 30 && requests.login >= PEOPLE.length, JSON.stringify(requests))
  t.comment(`requests: ${JSON.stringify(requests)}`)
})

/** Signs in, refreshes and introspects on alternating replicas until stopped. */
function startLoad(t: Test, replicas: readonly [SpawnedService, SpawnedService]) {
  const requests = { login: 0, refresh: 0, introspect: 0 }
  const failures: string[] = []
  let isStopped = false
  let turn = 0
  const anyApi = () => (replicas[turn++ % 2] as SpawnedService).api

  async function check(kind: keyof typeof requests, send: () => ReturnType<SpawnedService['api']['refresh']>) {
    requests[kind] += 1
    const answer = await send()
    if (answer.status !== 200 || (kind === 'introspect' && !answer.body.active)) {
      failures.push(`${new Date().toISOString()} ${kind}: ${answer.status} ${answer.text.slice(0, 200)}`)
    }
    return answer.body as Tokens
  }

  async function person(name: string): Promise<void> {
    while (!isStopped) {
      let tokens = await check('login', () => anyApi().login(name, PASSWORD))
      for (let round = 0; round < 10 && !isStopped; round += 1) {
        await check('introspect', () => anyApi().introspect(tokens.access_token))
        tokens = await check('refresh', () => anyApi().refresh(tokens.refresh_token))
        await check('introspect', () => anyApi().introspect(tokens.access_token))
        await sleep(50)
      }
    }
  }
  const people = Promise.all(PEOPLE.map(person)).catch((error) => failures.push(String(error)))
  const stop = async () => {
    isStopped = true
    await people
    return { requests, failures }
  }
  t.teardown(stop)
  return { stop }
}

/** A token with a life of 15 minutes, signed with its own key. */
async function outlasting(token: string, path: string, kid: string): Promise<string> {
  const { keys } = JSON.parse(readFileSync(path, 'utf8')) as { keys: JWK[] }
  const jwk = keys.find((key) => key.kid === kid) as JWK
  const claims = decodeJwt(token)
  return new SignJWT(claimsWithGenuineJti({ ...claims, exp: Number(claims.iat) + 900 }))
    .setProtectedHeader({ alg: jwk.alg as string, typ: 'at+jwt', kid })
    .sign(await importJWK(jwk))
}

async function signingKid({ api }: SpawnedService): Promise<string> {
  return decodeHeader((await api.tokens('ada', PASSWORD)).access_token).kid
}

async function publishedKids(api: SpawnedService['api']): Promise<string[]> {
  const { body } = await api.call('/.well-known/jwks.json')
  return body.keys.map(({ kid }: { kid: string }) => kid)
}

/** When the log of the service reports exactly these keys, in Unix milliseconds. */
async function readAt(output: () => string, kids: string[]): Promise<number> {
  let time: number | undefined
  await eventually(() => {
    const lines = output()
      .split('\n')
      .filter((line) => line.includes('the key file was read'))
    const line = lines.map((text) => JSON.parse(text)).find((read) => String(read.kids) === String(kids))
    time = line && Date.parse(line.time)
    return time !== undefined
  })
  return time as unknown as number
}
