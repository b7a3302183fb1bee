import { request } from 'node:http'

/** A list gives one header line for each entry. */
type Headers = Record<string, string | number | string[]>

export interface Sent {
  method?: string
  headers?: Headers
  bearer?: string
  body?: Buffer
}

export interface Received {
  status: number
  headers: NodeJS.Dict<string | string[]>
}

/** Sends one request on its own connection. The path is sent unchanged. */
export function send(url: string, path: string, { method, headers = {}, bearer, body }: Sent = {}): Promise<Received> {
  const { hostname, port } = new URL(url)
  const all: Headers = { ...headers }
  if (bearer !== undefined) all.authorization = `Bearer ${bearer}`
  const isChunked = all['transfer-encoding'] !== undefined
  if (body && !isChunked) all['content-length'] = body.length
  return new Promise((resolve, reject) => {
    const options = { hostname, port, path, method: method ?? (body ? 'POST' : 'GET'), headers: all, agent: false }
    const outgoing = request(options, (incoming) => {
      incoming.resume()
      incoming.on('error', reject)
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers }))
    })
    outgoing.on('error', reject)
    // A client that sends Expect waits for the answer.
    if (all.expect === '100-continue') outgoing.once('continue', () => outgoing.end(body)).flushHeaders()
    else outgoing.end(body)
  })
}
