import { setTimeout as sleep } from 'node:timers/promises'
import type { Verifier } from '@latchkey/verifier'
import type { Test } from 'tap'
import type { Answer, Api, Tokens } from './api.js'
import { eventually } from './eventually.js'
import { PASSWORD } from './service.js'
import { verdictOnce } from './verifier-setup.js'

/** The answer, with the milliseconds until it came. */
export async function timed(ask: () => Promise<Answer>): Promise<Answer & { took: number }> {
  const began = performance.now()
  return { ...(await ask()), took: performance.now() - began }
}

/** Records every acknowledged revocation, and everything that contradicts one. */
export class Ledger {
  /** Tokens of acknowledged revocations. None of them may be valid any more. */
  readonly ended: Tokens[] = []
  /** Descriptions of everything that must not happen. */
  readonly wrong: string[] = []
  answered = 0
  /** The number of 503 answers and broken connections. Each request was repeated. */
  failed = 0
  /** Sessions that disappeared although nobody ended them. */
  lost = 0
  #checked = 0
  #isOver = false

  /** The end of the test stops the retries, also after a failure. */
  constructor(t?: Test) {
    t?.teardown(() => {
      this.#isOver = true
    })
  }

  /** Repeats the request until its answer is below 500. */
  async insist(ask: () => Promise<Answer>): Promise<Answer> {
    for (;;) {
      const answer = await ask().catch(() => undefined)
      if (answer && answer.status < 500) {
        this.answered += 1
        return answer
      }
      if (answer && answer.status !== 503) this.wrong.push(`answered ${answer.status} ${answer.text}`)
      if (this.#isOver) throw new Error('the test is over')
      this.failed += 1
      await sleep(20 + Math.random() * 30)
    }
  }

  /** Presents the tokens whose session ended since the last call, or ever (`all`). Returns how many are accepted: 0 is right. */
  async countRevived(next: () => Api, all = false): Promise<number> {
    const tokens = this.ended.slice(all ? 0 : this.#checked)
    this.#checked = this.ended.length
    let revived = 0
    const check = async ({ access_token, refresh_token }: Tokens) => {
      const introspection = await this.insist(() => next().introspect(access_token))
      const refresh = await this.insist(() => next().refresh(refresh_token))
      if (introspection.body.active || refresh.status !== 400) revived += 1
    }
    const lanes = Array.from({ length: 10 }, async () => {
      for (let one = tokens.pop(); one; one = tokens.pop()) await check(one)
    })
    await Promise.all(lanes)
    return revived
  }
}

/** How many ended tokens a verifier accepts. The caller has already waited for the second that a follower may lag. */
export async function countAccepted(verifiers: Verifier[], { ended }: Ledger): Promise<number> {
  let accepted = 0
  for (const { access_token: token } of ended) {
    for (const verifier of verifiers) if ((await verdictOnce(verifier, token)) === 'good') accepted += 1
  }
  return accepted
}

/** Waits until all verifiers accept a live token. */
export async function untilAccepted(t: Test, api: Api, verifiers: Verifier[]): Promise<void> {
  const { body } = await new Ledger(t).insist(() => api.login('ada-0', PASSWORD))
  for (const verifier of verifiers) {
    await eventually(async () => (await verdictOnce(verifier, body.access_token)) === 'good')
  }
}

interface Load {
  next: () => Api
  ledger: Ledger
  lanes?: number
  /** Whether the store is durable. Then a session must not disappear. */
  isDurable?: boolean
}

/**
 * People who sign in, refresh on two devices at once, and sign out on every route, until stopped. Each lane is one
 * person. Answers go into the ledger. A request without an answer is repeated, as callers should.
 */
export function startLoad({ next, ledger, lanes = 6, isDurable = true }: Load): { stop(): Promise<void> } {
  let isStopped = false
  const lose = (what: string) => {
    ledger.lost += 1
    if (isDurable) ledger.wrong.push(what)
  }

  async function live(name: string): Promise<void> {
    const [mine, other] = [await signIn(name), await signIn(name)]
    const generations = [mine]
    for (let i = 0; i < 3 && !isStopped; i += 1) {
      const successor = await refresh(generations.at(-1) as Tokens)
      if (!successor) return lose('a refresh token was refused')
      generations.push(successor)
    }
    const bearer = (generations.at(-1) as Tokens).access_token
    const introspection = await ledger.insist(() => next().introspect(bearer))
    if (!introspection.body.active) return lose('a living token was called dead')
    await end(bearer, generations, [other])
  }

  async function signIn(name: string): Promise<Tokens> {
    return (await ledger.insist(() => next().login(name, PASSWORD))).body
  }

  async function refresh({ refresh_token: token }: Tokens): Promise<Tokens | undefined> {
    const both = await Promise.all([1, 2].map(() => ledger.insist(() => next().refresh(token))))
    const successors = both.filter(({ status }) => status === 200)
    if (new Set(successors.map(({ body }) => body.refresh_token)).size > 1) ledger.wrong.push('a fork')
    return successors.length === 2 ? successors[0]?.body : undefined
  }

  /** Ends both sessions on random routes. An acknowledged session has ended. */
  async function end(bearer: string, mine: Tokens[], other: Tokens[]): Promise<void> {
    const ask = async (ends: Tokens[], request: () => Promise<Answer>) => {
      const { status } = await ledger.insist(request)
      // This status does not acknowledge. The route needs a live token, but an unanswered attempt has ended its
      // session, or the store lost it.
      if (status !== 204 && status !== 200) return
      const introspection = await ledger.insist(() => next().introspect((ends.at(-1) as Tokens).access_token))
      if (introspection.body.active) ledger.wrong.push('a token lived after its end was acknowledged')
      ledger.ended.push(...ends)
    }
    const [{ access_token, refresh_token }, { sid, refresh_token: theirs }] = [mine.at(-1), other.at(-1)] as [
      Tokens,
      Tokens,
    ]
    const pick = <Item>(...items: Item[]) => items[Math.floor(Math.random() * items.length)] as Item
    const others = pick(
      () => next().call('/sessions?except=current', { method: 'DELETE', bearer }),
      () => next().call(`/sessions/${sid}`, { method: 'DELETE', bearer }),
      () => next().call('/revoke', { form: { token: theirs } }),
      undefined,
    )
    if (!others) {
      return ask([...other, ...mine], () => next().call('/logout-all', { method: 'POST', bearer }))
    }
    await ask(other, others)
    await ask(
      mine,
      pick(
        () => next().logout(access_token),
        () => next().logout(refresh_token),
        () => next().call('/revoke', { form: { token: bearer } }),
      ),
    )
  }

  const running = Array.from({ length: lanes }, async (_, lane) => {
    while (!isStopped) await live(`ada-${lane}`)
  })
  for (const lane of running) lane.catch(() => {})
  return {
    async stop() {
      isStopped = true
      await Promise.all(running)
    },
  }
}

/** Creates the accounts of all lanes. */
export async function signUpLanes(api: Api, lanes = 6): Promise<void> {
  for (let lane = 0; lane < lanes; lane += 1) {
    const { status, text } = await new Ledger().insist(() => api.signUp(`ada-${lane}`, PASSWORD))
    if (status !== 201 && status !== 409) throw new Error(`sign-up answered ${status} ${text}`)
  }
}
