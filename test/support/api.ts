import { Agent, type ClientRequestArgs, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
  /** The parsed body. Undefined when the body is empty or not JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any
}

export interface Call {
  method?: string
  headers?: Record<string, string | string[]>
  /** Sent as JSON. */
  json?: unknown
  /** Sent as a form. */
  form?: Record<string, string>
  /** Sent unchanged. */
  raw?: string | Buffer
  bearer?: string
}

export interface Tokens {
  access_token: string
  refresh_token: string
  sid: string
  expires_in: number
  refresh_expires_in: number
  scope: string
}

/** The raw header of `client_secret_basic`: neither part is percent-encoded. */
export function basicAuthorization({ id, secret }: { id: string; secret: string }): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` }
}

/** A client of the service. It uses node:http, which sends every header unchanged, unlike fetch. */
export class Api {
  /** Closes an idle connection after 20 s. The service does so after 72 s, and a request may meet that moment. */
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 200, timeout: 20_000 })

  constructor(
    readonly url: string,
    readonly client: { id: string; secret: string },
  ) {}

  call(path: string, { method, headers = {}, json, form, raw, bearer }: Call = {}): Promise<Answer> {
    const all: Record<string, string | string[]> = {}
    let body = raw
    if (json !== undefined) {
      all['content-type'] = 'application/json'
      body = JSON.stringify(json)
    } else if (form !== undefined) {
      all['content-type'] = 'application/x-www-form-urlencoded'
      body = new URLSearchParams(form).toString()
    }
    if (body !== undefined) all['content-length'] = String(Buffer.byteLength(body))
    if (bearer !== undefined) all.authorization = `Bearer ${bearer}`
    const options: ClientRequestArgs = {
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      headers: { ...all, ...headers },
      agent: this.#agent,
    }
    return new Promise((resolve, reject) => {
      const outgoing = request(new URL(path, this.url), options, (incoming) => {
        const chunks: Buffer[] = []
        incoming.on('data', (chunk) => chunks.push(chunk))
        incoming.on('error', reject)
        incoming.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text, body: parse(text) })
        })
      })
      outgoing.on('error', reject)
      outgoing.end(body)
    })
  }

  /** Closes the connections that wait for the next call. */
  close(): void {
    this.#agent.destroy()
  }

  /** Signs up, and repeats the request after a 503: nearly every test begins with a sign-up. */
  signUp(username: string, password: string): Promise<Answer> {
    return untilAvailable(() => this.call('/users', { json: { username, password } }))
  }

  login(username: string, password: string, more: Record<string, string> = {}): Promise<Answer> {
    return this.call('/login', { json: { username, password, ...more } })
  }

  refresh(refreshToken: string): Promise<Answer> {
    return this.call('/refresh', { json: { refresh_token: refreshToken } })
  }

  logout(token: string): Promise<Answer> {
    return this.call('/logout', { method: 'POST', bearer: token })
  }

  introspect(token: string): Promise<Answer> {
    return this.call('/introspect', { form: { token }, headers: basicAuthorization(this.client) })
  }

  /** Whether the service says that the token is active. */
  async isActive(token: string): Promise<boolean> {
    const { status, body } = await untilAvailable(() => this.introspect(token))
    if (status !== 200) throw new Error(`introspection answered ${status}`)
    return body.active
  }

  /** Signs in with a right password, and throws after any other answer. */
  async tokens(username: string, password: string, more: Record<string, string> = {}): Promise<Tokens> {
    const { status, body, text } = await untilAvailable(() => this.login(username, password, more))
    if (status !== 200) throw new Error(`sign-in answered ${status} ${text}`)
    return body
  }
}

/**
 * Repeats a request after a 503, 20 times at most, as callers should. On a busy machine a store may exceed a timeout, which is
 * not the subject of most tests. The pauses grow, because 1000 callers that repeat at once keep the store busy.
 */
export async function untilAvailable(ask: () => Promise<Answer>, isWorthwhile = isAlways): Promise<Answer> {
  for (let i = 1; ; i += 1) {
    const answer = await ask()
    if (answer.status !== 503 || i > 20 || !isWorthwhile(answer)) return answer
    await sleep(Math.min(i * 50, 500))
  }
}

const isAlways = (_answer: Answer) => true

/** Repeats requests like {@link untilAvailable}, and counts the 503: a request that got one may have taken effect. */
export class PatientCaller {
  unanswered = 0

  ask(request: () => Promise<Answer>): Promise<Answer> {
    return untilAvailable(async () => {
      const answer = await request()
      if (answer.status === 503) this.unanswered += 1
      return answer
    })
  }
}

/** Repeats a request when it got 503 because a store failed. A 503 of another cause, such as a full hash queue, is returned. */
export class PatientApi extends Api {
  readonly #didStoreFail: (answer: Answer) => boolean

  /** @param didStoreFail whether an answer is 503 because a store failed. Without it every 503 counts as such */
  constructor(url: string, client: Api['client'], didStoreFail = isAlways) {
    super(url, client)
    this.#didStoreFail = didStoreFail
  }

  override call(path: string, call?: Call): Promise<Answer> {
    return untilAvailable(() => super.call(path, call), this.#didStoreFail)
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
