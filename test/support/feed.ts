import type { Answer, Api } from './api.js'
import { basicAuthorization, type Credentials } from './clients.js'

export interface FeedAnswer {
  feed: string
  epoch: number
  cursor: string
  more: boolean
  read_after_ms: number
  revocations: ({ sids: string[] } | { client_id: string; issued_until: number })[]
}

/** `GET /revocations`, as the client that the test's service has. */
export function getRevocations(
  api: Api,
  query: Record<string, string | number> = {},
  client: Credentials = api.client,
): Promise<Answer> {
  const search = new URLSearchParams(Object.entries(query).map(([name, value]): [string, string] => [name, `${value}`]))
  return api.call(`/revocations?${search}`, { headers: basicAuthorization(client) })
}

/** What a follower knows after some answers, by the rule of the documentation. */
export class Feed {
  feed = ''
  epoch = 0
  cursor: string | undefined
  /** In the order of the feed. */
  sids: string[] = []
  clients: { client_id: string; issued_until: number }[] = []
  /** How often the feed had another name than before. */
  losses = 0
  /** Everything acknowledged before this time is known. Milliseconds of the monotonic clock. */
  freshUntil = Number.NEGATIVE_INFINITY

  constructor(private readonly api: Api) {}

  /** One answer. */
  async read(wait = 0): Promise<FeedAnswer> {
    const sent = performance.now()
    const { status, body, text } = await getRevocations(this.api, {
      ...(this.cursor !== undefined && { after: this.cursor }),
      wait,
    })
    if (status !== 200) throw new Error(`/revocations answered ${status} ${text}`)
    const answer: FeedAnswer = body
    if (this.feed !== '' && answer.feed !== this.feed && this.cursor !== undefined) {
      this.losses += 1
      this.freshUntil = Number.NEGATIVE_INFINITY
      this.cursor = undefined
      this.feed = answer.feed
      return answer
    }
    this.feed = answer.feed
    this.epoch = answer.epoch
    this.cursor = answer.cursor
    for (const revocation of answer.revocations) {
      if ('sids' in revocation) this.sids.push(...revocation.sids)
      else this.clients.push(revocation)
    }
    if (!answer.more) this.freshUntil = sent + answer.read_after_ms
    return answer
  }

  /** Answers until there is no more. */
  async readAll(): Promise<this> {
    while ((await this.read()).more || this.cursor === undefined);
    return this
  }
}
