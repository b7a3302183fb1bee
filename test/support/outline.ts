import type { Answer } from './api.js'

/** An answer without the parts that differ each time. */
export function outline({ status, headers, text }: Answer) {
  const { date, 'x-request-id': requestId, ...others } = headers
  return { status, headers: others, text }
}
