/** A line of a file, counted from 1: its text, or what is wrong with it. */
export interface Line {
  number: number
  text: string | { fault: string }
}

/** In bytes. */
const MAX_LINE = 16 * 1024

const NEW_LINE = 0x0a

/** The lines of a stream, one at a time: memory holds one chunk, whatever the stream sends. */
export async function* linesOf(stream: AsyncIterable<Buffer | string>): AsyncGenerator<Line> {
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
    // Of a line that is too long already, nothing need be kept.
    isTooLong ||= bytes.length > MAX_LINE
    rest = isTooLong ? Buffer.alloc(0) : bytes
  }
  if (isTooLong || rest.length > 0) yield line(rest)
}
