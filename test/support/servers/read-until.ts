import type { Readable } from 'node:stream'

/**
 * Reads the output of a server until it contains this text. The text may come in several chunks. Later output is read and
 * dropped, so that the server can always write.
 */
export async function readUntil(output: Readable, text: string): Promise<void> {
  let read = ''
  for await (const chunk of output.iterator({ destroyOnReturn: false })) {
    read += chunk
    if (read.includes(text)) break
  }
  if (!read.includes(text)) throw new Error(`the server ended before it said “${text}”:\n${read}`)
  output.resume()
}
