export interface Line {
  /** The first line is 1. */
  number: number
  text: string | { fault: string }
}

/** Bytes. An account with 20 passkeys has a long line. */
const MAX_LINE = 64 * 1024

const NEW_LINE = 0x0a

/** Yields the lines of a stream. Memory holds one chunk and one line of at most MAX_LINE bytes. */
export async function* readLines(stream: AsyncIterable<Buffer | string>): AsyncGenerator<Line> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let number = 1
  let rest = Buffer.alloc(0)
  let isTooLong = false

  function line(bytes: Buffer): Line {
    if (isTooLong || bytes.length > MAX_LINE) return { number, text: { fault: `it is longer than ${MAX_LINE} bytes` } }
    try {
      return { number, text: decoder.decode(bytes).trim() }
    } catch {
      return { number, text: { fault: 'it is not UTF-8' } }
    }
  }

  for await (const chunk of stream) {
    let bytes = Buffer.concat([rest, Buffer.from(chunk)])
    for (let end = bytes.indexOf(NEW_LINE); end >= 0; end = bytes.indexOf(NEW_LINE)) {
      yield line(bytes.subarray(0, end))
      number += 1
      isTooLong = false
      bytes = bytes.subarray(end + 1)
    }
    // The rest of a line that is too long is discarded.
    isTooLong ||= bytes.length > MAX_LINE
    rest = isTooLong ? Buffer.alloc(0) : bytes
  }
  if (isTooLong || rest.length > 0) yield line(rest)
}
