import { connect } from 'node:net'

export interface Exchange {
  /** All that came back. */
  text: string
  /** Whether the server closed the connection, and did not only answer. */
  isClosed: boolean
  /** Milliseconds until the first byte came back, or the connection ended without one. */
  answeredAfter: number
  /** Milliseconds until the connection ended, or we gave up. */
  endedAfter: number
}

/**
 * Writes bytes to a bare connection, and reads until the server closes it, or for `patience` milliseconds; or, where
 * `until` says so, until something has come back.
 */
export function exchange(
  url: string,
  bytes: string | Buffer,
  { patience = 1000, until = 'closed' }: { patience?: number; until?: 'closed' | 'answered' } = {},
): Promise<Exchange> {
  return converse(url, (write) => write(bytes), patience, until)
}

/** The same for a caller that goes on writing: `speak` writes now and later, and answers with what stops it. */
export function converse(
  url: string,
  speak: (write: (bytes: string | Buffer) => void) => unknown,
  patience: number,
  until: 'closed' | 'answered' = 'closed',
): Promise<Exchange> {
  return new Promise((resolve) => {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    const start = performance.now()
    let text = ''
    let answeredAfter: number | undefined
    let stop: unknown
    const finish = (isClosed: boolean) => {
      clearTimeout(giveUp)
      if (typeof stop === 'function') stop()
      const endedAfter = performance.now() - start
      resolve({ text, isClosed, answeredAfter: answeredAfter ?? endedAfter, endedAfter })
      socket.destroy()
    }
    const giveUp = setTimeout(finish, patience, false)
    socket.on('data', (chunk) => {
      answeredAfter ??= performance.now() - start
      text += chunk
      if (until === 'answered') finish(false)
    })
    // The server may close while we still write.
    socket.on('error', () => {})
    socket.on('close', () => finish(true))
    stop = speak((bytes) => void (socket.writable && socket.write(bytes)))
  })
}

/** Status line, headers and body of the one answer in `text`. */
export function parseAnswer(text: string): { status: number; headers: Record<string, string>; body: string } {
  const [head = '', body = ''] = text.split('\r\n\r\n', 2)
  const [statusLine = '', ...lines] = head.split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
  return { status: Number(statusLine.split(' ')[1]), headers, body }
}
