import type { FastifyRequest } from 'fastify'
import { refusal, type WireError } from './errors.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** A gateway asks about the request of its own caller, and passes on headers that this service does not read. */
    forwardAuth?: boolean
  }
}

/**
 * The error of a request with ambiguous headers, or undefined.
 *
 * Node takes the first of two headers of which one is allowed. It also takes a list of transfer codings that ends in
 * `chunked`. A proxy may have read the second header, or another end of the body: then it has checked another request.
 */
export function ambiguityOf(request: FastifyRequest): WireError | undefined {
  const { rawHeaders, headers, httpVersion } = request.raw
  let [hosts, contentTypes, authorizations] = [0, 0, 0]
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    // The cheap comparison of lengths comes first, because this runs for every header of every request.
    if (name.length === 4) hosts += isName(name, 'host')
    else if (name.length === 12) contentTypes += isName(name, 'content-type')
    else if (name.length === 13) authorizations += isName(name, 'authorization')
  }
  if (hosts !== 1) {
    if (hosts > 1) return refusal.ambiguous('the header host is given twice: send it once')
    if (httpVersion === '1.1') return refusal.ambiguous('the header host is missing')
  }
  if (contentTypes > 1 || authorizations > 1) {
    const name = contentTypes > 1 ? 'content-type' : 'authorization'
    if (!request.routeOptions.config.forwardAuth)
      return refusal.ambiguous(`the header ${name} is given twice: send it once`)
  }
  const coding = headers['transfer-encoding']
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked') return refusal.ambiguous('Transfer-Encoding must be chunked')
    // RFC 9112 §6.1: a server cannot know where such a request ends.
    if (httpVersion !== '1.1') return refusal.ambiguous('HTTP/1.0 has no Transfer-Encoding: send Content-Length')
  }
  return undefined
}

const isName = (name: string, lowerCase: string) => (name.toLowerCase() === lowerCase ? 1 : 0)
