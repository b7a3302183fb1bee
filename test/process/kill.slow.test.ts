import { test } from 'tap'
import type { Api, Tokens } from '../support/api.js'
import { environment, PASSWORD, spawnService } from '../support/service.js'

/** Kills for each case. */
const KILLS = Number(process.env.LATCHKEY_TEST_KILLS ?? 2)
const NEW_PASSWORD = 'another battery, another staple'

/** An action of a user, and the condition that must hold after its acknowledgement. */
const acts: Record<string, (api: Api, state: State) => Promise<void>> = {
  'a sign-up': async (api, state) => {
    state.name = `ada-${Math.random().toString(36).slice(2)}`
    state.password = PASSWORD
    state.ended = []
    isStatus(201, await api.signUp(state.name, state.password))
  },
  'a sign-in': async (api, state) => {
    state.tokens = await api.tokens(state.name, state.password)
  },
  'a refresh': async (api, state) => {
    state.tokens = isStatus(200, await api.refresh((state.tokens as Tokens).refresh_token)).body
  },
  'a change of password': async (api, state) => {
    const bearer = (state.tokens as Tokens).access_token
    const json = { current_password: state.password, new_password: NEW_PASSWORD }
    isStatus(204, await api.call('/users/me/password', { bearer, json }))
    state.password = NEW_PASSWORD
  },
  'a sign-out': async (api, state) => {
    const tokens = state.tokens as Tokens
    isStatus(204, await api.logout(tokens.access_token))
    state.ended.push(tokens)
    state.tokens = undefined
  },
}

interface State {
  name: string
  password: string
  tokens: Tokens | undefined
  ended: Tokens[]
}

test(`F20 embedded: an acknowledged change survives an immediate kill -9, × ${KILLS} each`, async (t) => {
  const env = await environment(t, 'sqlite')
  const state: State = { name: '', password: '', tokens: undefined, ended: [] }
  let service = await spawnService(t, env)
  for (let round = 0; round < KILLS; round += 1) {
    for (const [name, act] of Object.entries(acts)) {
      await act(service.api, state)

      t.equal(await service.end('SIGKILL'), 'SIGKILL')
      service = await spawnService(t, env)

      t.ok(await holds(service.api, state), `${name} holds`)
    }
  }
})

test(`R11 embedded: after a kill during many refreshes, every token can be presented again, × ${KILLS}`, async (t) => {
  const env = await environment(t, 'sqlite', { HASH_COST: 'full', HASH_CONCURRENCY: '4' })
  let service = await spawnService(t, env)
  await service.api.signUp('ada', PASSWORD)
  const devices = await Promise.all(
    Array.from({ length: 8 }, async () => (await service.api.tokens('ada', PASSWORD)).refresh_token),
  )

  for (let round = 0; round < KILLS; round += 1) {
    // Each device refreshes all the time, twice at once, and remembers its last answer.
    const refreshing = devices.map(async (_, device) => {
      for (;;) {
        const both = await Promise.allSettled([1, 2].map(() => service.api.refresh(devices[device] as string)))
        for (const answer of both) {
          if (answer.status === 'rejected') return
          devices[device] = isStatus(200, answer.value).body.refresh_token
        }
      }
    })
    await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 200))
    await service.end('SIGKILL')
    await Promise.all(refreshing)
    service = await spawnService(t, env)

    for (const [device, token] of devices.entries()) {
      const answers = await Promise.all([1, 2, 3].map(() => service.api.refresh(token)))
      t.strictSame(
        answers.map(({ status }) => status),
        [200, 200, 200],
        `device ${device} is not stranded`,
      )
      t.equal(new Set(answers.map(({ body }) => body.refresh_token)).size, 1, 'and not forked')
      devices[device] = answers[0]?.body.refresh_token
    }
  }

  const bearer = (await service.api.refresh(devices[0] as string)).body.access_token
  t.equal((await service.api.call('/sessions', { bearer })).body.sessions.length, devices.length)
})

async function holds(api: Api, { name, password, tokens, ended }: State): Promise<boolean> {
  for (const { access_token, refresh_token } of ended) {
    if (await api.isActive(access_token)) return false
    if ((await api.refresh(refresh_token)).status !== 400) return false
  }
  if (tokens && !(await api.isActive(tokens.access_token))) return false
  const other = await api.login(name, password)
  if (other.status !== 200) return false
  await api.logout(other.body.access_token)
  return password === PASSWORD || (await api.login(name, PASSWORD)).status === 401
}

function isStatus<A extends { status: number; text: string }>(status: number, answer: A): A {
  if (answer.status !== status) throw new Error(`the answer was ${answer.status} ${answer.text}`)
  return answer
}
