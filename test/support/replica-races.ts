import { setTimeout as sleep } from 'node:timers/promises'
import { type Test, test } from 'tap'
import { Unavailable } from '../../src/unavailable.js'
import type { Answer, Api, Tokens } from './api.js'
import { claimsOf } from './decode.js'
import { eventually } from './eventually.js'
import { type Replicas, startReplicas, Tally } from './replicas.js'
import { PASSWORD } from './service.js'
import { isAll } from './size.js'

/** Rounds of R1. R6 has five times as many of each kind. The full size is 200 and takes many minutes. */
const ROUNDS = Number(process.env.LATCHKEY_TEST_ROUNDS ?? (isAll ? 3 : 1))
const RACES = ROUNDS * 5
/** Parallel races, each with its own user. */
const LANES = 4

/** Races between three processes on one store. */
export function replicaRaces(sessionsIn: 'redis' | 'postgres'): void {
  test(`sessions in ${sessionsIn}, three processes`, async (t) => {
    // No test here needs the end of the grace, so a slow machine gets a long one.
    const replicas = await startReplicas(t, sessionsIn, { REFRESH_GRACE: '10m' })
    await t.test(`R1: one token × 50 at once × 3 processes × ${ROUNDS} rounds has one lineage`, (t) =>
      oneLineage(t, replicas),
    )
    for (const race of races) {
      await t.test(`R6: ${race.name}, × ${RACES}: no token survives`, (t) => noSurvivor(t, replicas, race))
    }
    for (const { output } of replicas.processes) t.notMatch(output(), /"level":50/, 'no fault is logged')
  })
}

async function oneLineage(t: Test, replicas: Replicas): Promise<void> {
  const [first] = replicas.apis
  await first.signUp('ada', PASSWORD)
  const { access_token, sid, refresh_token } = await first.tokens('ada', PASSWORD)
  let token = refresh_token
  const tally = new Tally(replicas)
  let forks = 0
  let dead = 0

  for (let round = 0; round < ROUNDS; round += 1) {
    const answers = await Promise.all(
      Array.from({ length: 150 }, async () => tally.count(await replicas.next().refresh(token))),
    )
    const successors = new Set(answers.map(({ body }) => body.refresh_token))
    if (successors.size !== 1) forks += 1
    token = [...successors][0]
    for (const { body } of answers.slice(-3)) if (!(await replicas.next().isActive(body.access_token))) dead += 1
  }

  t.comment(String(tally))
  t.ok(tally.holdsOnly(200), String(tally))
  t.equal(forks, 0, 'no fork')
  t.equal(dead, 0, 'no session killed')
  const sessions = await persist(() => replicas.services.sessions.list(claimsOf(access_token).sub))
  t.match(sessions, [{ sid, generation: ROUNDS }], 'one rotation in each round')
  t.equal(sessions.length, 1, 'one session')
  // A busy machine may rotate a token and answer 503. Then the caller gets the successor from a replay, and no line says `rotated`.
  const unanswered = tally.unavailable()
  await eventually(() => replicas.audited('refresh.rotated') >= ROUNDS - unanswered)
  t.ok(replicas.audited('refresh.rotated') <= ROUNDS, 'no second rotation of a token')
  t.equal(replicas.audited('refresh.reused'), 0)
  t.equal((await first.refresh(token)).status, 200)
}

async function noSurvivor(t: Test, replicas: Replicas, race: Race): Promise<void> {
  const tally = new Tally(replicas)
  let survivors = 0
  await Promise.all(
    Array.from({ length: LANES }, async (_, lane) => {
      const person = await newPerson(replicas.next(), `ada-${races.indexOf(race)}-${lane}`)
      for (let round = lane; round < RACES; round += LANES) {
        const issued = await race.run({ ...replicas, tally }, person)
        for (const tokens of issued) survivors += await countLiving(replicas, tokens)
      }
    }),
  )

  t.comment(String(tally))
  t.equal(survivors, 0)
  t.ok(tally.holdsOnly(200, 204, 400, 401), String(tally))
}

interface Person {
  name: string
  sub: string
  password: string
  /** The duration of a sign-in on this machine in milliseconds. Racing requests start within twice that time. */
  signInTime: number
}

async function newPerson(api: Api, name: string): Promise<Person> {
  // The answer may be 409, when an earlier answer was 503.
  await api.signUp(name, PASSWORD)
  const started = Date.now()
  const { access_token } = await api.tokens(name, PASSWORD)
  return { name, sub: claimsOf(access_token).sub, password: PASSWORD, signInTime: Date.now() - started }
}

type Arena = Replicas & { tally: Tally }

interface Race {
  name: string
  /** Returns the tokens that must not be valid, after all requests have been answered. */
  run(arena: Arena, person: Person): Promise<Partial<Tokens>[]>
}

const races: Race[] = [
  {
    name: 'refresh ∥ logout',
    async run({ next, tally }, { name, password }) {
      const tokens = await next().tokens(name, password)
      const any = Math.random() < 0.5 ? tokens.access_token : tokens.refresh_token
      return refreshAgainst(tokens, next, tally, () => next().logout(any))
    },
  },
  {
    name: 'refresh ∥ logout-all',
    async run({ next, tally }, { name, password }) {
      const [tokens, other] = [await next().tokens(name, password), await next().tokens(name, password)]
      const issued = await refreshAgainst(tokens, next, tally, () =>
        next().call('/logout-all', { method: 'POST', bearer: other.refresh_token }),
      )
      return [other, ...issued]
    },
  },
  {
    name: 'refresh ∥ disable',
    async run({ next, tally, services }, { name, sub, password }) {
      const tokens = await next().tokens(name, password)
      const issued = await refreshAgainst(tokens, next, tally, () => disable({ services }, sub))
      await persist(() => services.users.enable(sub))
      return issued
    },
  },
  {
    name: 'refresh ∥ password change',
    async run(arena, person) {
      const { next, tally } = arena
      const mine = await next().tokens(person.name, person.password)
      const tokens = await next().tokens(person.name, person.password)
      const issued = await refreshAgainst(tokens, next, tally, () => changePassword(arena, person, mine))
      if (!(await next().isActive(mine.access_token)))
        throw new Error('the session that changed the password has ended')
      await next().logout(mine.access_token)
      return issued
    },
  },
  {
    name: 'sign-in ∥ disable',
    async run({ next, tally, services }, { name, sub, password, signInTime }) {
      const [login] = await Promise.all([
        jitter(0, () => next().login(name, password)),
        jitter(signInTime * 2, () => disable({ services }, sub)),
      ])
      tally.count(login)
      await persist(() => services.users.enable(sub))
      // A sign-in resets the failure count. Otherwise the refusals would throttle the account.
      await next().logout((await next().tokens(name, password)).refresh_token)
      return login.status === 200 ? [login.body] : []
    },
  },
  {
    name: 'sign-in ∥ password change',
    async run(arena, person) {
      const { next, tally } = arena
      const mine = await next().tokens(person.name, person.password)
      const old = person.password
      const [login] = await Promise.all([
        jitter(person.signInTime * 2, () => next().login(person.name, old)),
        changePassword(arena, person, mine),
      ])
      tally.count(login)
      await next().logout(mine.access_token)
      return login.status === 200 ? [login.body] : []
    },
  },
]

/** Refreshes one token on each process while the session ends. Returns every issued token. */
async function refreshAgainst(
  tokens: Tokens,
  next: () => Api,
  tally: Tally,
  end: () => Promise<unknown>,
): Promise<Tokens[]> {
  const refreshed: Answer[] = []
  const chain = async () => {
    // Continues from each successor, so that the end meets rotations of every generation.
    for (let token = tokens.refresh_token; ; ) {
      const answer = tally.count(await next().refresh(token))
      if (answer.status !== 200) return
      refreshed.push(answer)
      token = answer.body.refresh_token
    }
  }
  const first = () =>
    jitter(4, async () => void refreshed.push(tally.count(await next().refresh(tokens.refresh_token))))
  await Promise.all([chain(), first(), first(), jitter(8, end)])
  return [tokens, ...refreshed.filter(({ status }) => status === 200).map(({ body }) => body)]
}

async function disable({ services }: Pick<Replicas, 'services'>, sub: string): Promise<void> {
  await persist(() => services.users.disable(sub))
  await persist(() => services.sessions.revokeAll(sub))
}

async function changePassword({ next, tally }: Arena, person: Person, { access_token: bearer }: Tokens): Promise<void> {
  const password = `${PASSWORD} ${Math.random()}`
  const ask = (current_password: string) =>
    next().call('/users/me/password', { bearer, json: { current_password, new_password: password } })
  const before = tally.unavailable()
  let answer = await ask(person.password)
  // After a 503 the new password may be stored, while the other sessions live. Then the change continues from the new password.
  if (answer.status === 401 && tally.unavailable() > before) answer = await ask(password)
  tally.count(answer)
  if (answer.status !== 204) throw new Error(`the change of password answered ${answer.status} ${answer.text}`)
  person.password = password
}

async function persist<Result>(act: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error
    }
  }
}

async function jitter<Result>(milliseconds: number, act: () => Promise<Result>): Promise<Result> {
  await sleep(Math.random() * milliseconds)
  return act()
}

/** How many of the two tokens are valid. Each is checked on another process. */
async function countLiving({ next }: Replicas, { access_token, refresh_token }: Partial<Tokens>): Promise<number> {
  const isActive = access_token !== undefined && (await next().isActive(access_token))
  const isGood = refresh_token !== undefined && (await next().refresh(refresh_token)).status !== 400
  return Number(isActive) + Number(isGood)
}
