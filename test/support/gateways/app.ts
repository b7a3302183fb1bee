import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** A request as the application behind the gateway received it. */
export interface ReceivedRequest {
  method: string
  url: string
  /** Unchanged: names in their own case, repeated headers as separate entries. */
  headers: [name: string, value: string][]
  length: number
  sha256: string
}

export interface TestApp {
  /** `127.0.0.1:PORT` */
  address: string
  /** Every request so far. */
  arrivals: ReceivedRequest[]
}

/** The application that a gateway protects. It accepts every request, and answers with the status in `X-Answer`, or 200. */
export async function startApp(t: Test): Promise<TestApp> {
  const arrivals: ReceivedRequest[] = []
  const server = createServer({ maxHeaderSize: 64 * 1024 }, async (request, response) => {
    const body = createHash('sha256')
    let length = 0
    for await (const chunk of request) {
      body.update(chunk)
      length += chunk.length
    }
    const headers = request.rawHeaders.flatMap((name, index, all): [string, string][] =>
      index % 2 === 0 ? [[name, all[index + 1] ?? '']] : [],
    )
    arrivals.push({ method: request.method ?? '', url: request.url ?? '', headers, length, sha256: body.digest('hex') })
    response.writeHead(Number(request.headers['x-answer'] ?? 200)).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, arrivals }
}

/** The values of every header that an application may read under this name. CGI and its successors read `_` as `-`. */
export function headerValues(name: string, { headers }: ReceivedRequest): string[] {
  return headers.filter(([each]) => each.toLowerCase().replaceAll('_', '-') === name).map(([, value]) => value)
}
