import { connect } from 'node:net'

export interface Exchange {
  /** All received text. */
  text: string
  /** Whether the server closed the connection. */
  isClosed: boolean
  /** Milliseconds until the first byte arrived, or until the connection ended without one. */
  answeredAfter: number
  /** Milliseconds until the connection ended or the client gave up. */
  endedAfter: number
}

/** Milliseconds. Only a failing test waits this long. */
const PATIENCE = 60_000

/**
 * Writes bytes to a TCP connection. Reads until the server closes it, for `patience` milliseconds at most, or until the first
 * answer if `until` says so.
 */
export function exchange(
  url: string,
  bytes: string | Buffer,
  { patience = PATIENCE, until = 'closed' }: { patience?: number; until?: 'closed' | 'answered' } = {},
): Promise<Exchange> {
  return converse(url, (write) => write(bytes), patience, until)
}

/**
 * Like `exchange` for a caller that continues to write. `speak` writes now and later, and returns the function that
 * stops it.
 */
export function converse(
  url: string,
  speak: (write: (bytes: string | Buffer) => void) => unknown,
  patience = PATIENCE,
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
    // The server may close during a write.
    socket.on('error', () => {})
    socket.on('close', () => finish(true))
    stop = speak((bytes) => void (socket.writable && socket.write(bytes)))
  })
}

/** The status, headers and body of the only answer in `text`. */
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
