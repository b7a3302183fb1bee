import formbody from '@fastify/formbody'
import { parse as parseQuery } from 'fast-querystring'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { SECRET_PARAMETERS } from '../secret-fields.js'
import { refusal } from './errors.js'

/** Parses JSON and form bodies. Refuses every query and body that two readers could read in two ways. */
export async function registerBodies(app: FastifyInstance): Promise<void> {
  app.addHook('onRequest', (request, _reply, done) => {
    try {
      refuseQuery(request)
      refuseEncodedBody(request)
      done()
    } catch (error) {
      done(error as Error)
    }
  })
  // A missing body counts as an empty one: the schema then names the missing parameter.
  app.addHook('preValidation', (request, _reply, done) => {
    request.body ??= {}
    done(asciiForms.has(request) && !isAscii(request.body) ? refusal.unsupportedMediaType(SEND_UTF8) : undefined)
  })

  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text, done) => {
    // Some clients send Content-Type without a body.
    if (text === '') return done(null, {})
    refuseOtherThanUtf8(text as string)
    parseJson(request, text as string, (error, body) => {
      if (error) return done(refusal.invalidRequest('the body is not JSON, or has a member __proto__'))
      if (hasLoneSurrogate(text as string)) {
        return done(
          refusal.invalidRequest('the body has half of a surrogate pair (\\ud800 to \\udfff): send both halves'),
        )
      }
      if (countMembers(body) < countWrittenMembers(text as string)) {
        return done(refusal.invalidRequest('the body has a parameter twice: send it once'))
      }
      return done(null, body)
    })
  })

  await app.register(formbody, { parser: parseForm })
}

/**
 * Refuses two kinds of query. RFC 6750 §5.3: logs, browser histories and Referer headers keep a token that is in an address.
 * And another reader may take the other value of a repeated parameter, even if its name is unknown.
 */
function refuseQuery({ query }: FastifyRequest): void {
  // The query has no inherited members.
  for (const name in query as Record<string, unknown>) {
    if (SECRET_PARAMETERS.has(name)) {
      throw refusal.invalidRequest(`${name} must not be in the address: send it in the body or as the bearer token`)
    }
    if (Array.isArray((query as Record<string, unknown>)[name])) {
      throw refusal.invalidRequest('the query has a parameter twice: send it once')
    }
  }
}

function refuseEncodedBody(request: FastifyRequest): void {
  const { headers } = request
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw refusal.unsupportedMediaType('the body is encoded: send it without Content-Encoding')
  }
  const contentType = headers['content-type']
  if (contentType !== undefined && /charset/i.test(contentType)) refuseCharset(request, contentType)
}

const SEND_UTF8 = 'send the body as UTF-8'
/** A parameter of a media type. Its value is a token or a quoted string (RFC 9110 §5.6.6). */
const PARAMETER = /;\s*([^\s=;]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)/g
/** Requests with a form whose charset equals UTF-8 for ASCII characters only. */
const asciiForms = new WeakSet<FastifyRequest>()

/**
 * Accepts UTF-8 under each of its names. Old libraries declare Latin-1 or ASCII for a form. Such a form is accepted if all
 * of its decoded text is ASCII, because then both charsets give the same text. Two charsets are refused: another reader may
 * take the other one.
 */
function refuseCharset(request: FastifyRequest, contentType: string): void {
  const charsets = [...contentType.matchAll(PARAMETER)].flatMap(([, name = '', value = '']) =>
    name.toLowerCase() === 'charset' ? [value.trim().replace(/^(["'])(.*)\1$/, '$2')] : [],
  )
  if (charsets.length > 1) throw refusal.ambiguous('Content-Type names its charset twice: send one')
  const [charset] = charsets
  if (charset === undefined) return
  const encoding = encodingOf(charset)
  if (encoding === 'utf-8') return
  const isForm = /^\s*application\/x-www-form-urlencoded\s*;/i.test(contentType)
  if (!isForm || encoding !== 'windows-1252') throw refusal.unsupportedMediaType(SEND_UTF8)
  asciiForms.add(request)
}

/** The encoding of a WHATWG label: `utf8` is UTF-8, and `iso-8859-1` and `us-ascii` are windows-1252. */
function encodingOf(label: string): string | undefined {
  try {
    return new TextDecoder(label).encoding
  } catch {
    return undefined
  }
}

function isAscii(body: unknown): boolean {
  const text = JSON.stringify(body)
  return Buffer.byteLength(text) === text.length
}

/** Node decodes every invalid byte as the same replacement character: two different passwords would become equal. */
function refuseOtherThanUtf8(text: string): void {
  if (text.includes('\uFFFD')) throw refusal.invalidRequest('the body is not UTF-8: send it as UTF-8')
}

/** An escape in a JSON text: a surrogate pair, half of a pair (captured), or another escape. */
const ESCAPE = /\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F])|.)/g

/**
 * Half of a surrogate pair is not a character. UTF-8 encodes every half as the replacement character: two different
 * passwords would become equal.
 */
function hasLoneSurrogate(json: string): boolean {
  // Fast path: most bodies have no such escape.
  if (!/\\u[dD][89a-fA-F]/.test(json)) return false
  for (const [, half] of json.matchAll(ESCAPE)) if (half !== undefined) return true
  return false
}

function parseForm(text: string): Record<string, unknown> {
  refuseOtherThanUtf8(text)
  if (text.includes('%') && !isPercentEncoded(text)) {
    throw refusal.invalidRequest('the form is not percent-encoded UTF-8: write a literal % as %25')
  }
  const form = parseQuery(text)
  // The form has no inherited members.
  for (const name in form) {
    const value = form[name]
    if (Array.isArray(value)) {
      // RFC 8707 §2 lets a client name several. Each of our tokens is for one.
      if (name === 'resource') throw refusal.severalTargets()
      throw refusal.invalidRequest('the body has a parameter twice: send it once')
    }
    if (name === '__proto__') throw refusal.invalidRequest('the body has a parameter __proto__')
    // RFC 6749 §3.1: a parameter without a value counts as omitted.
    if (value === '') delete form[name]
  }
  return form
}

function isPercentEncoded(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

/**
 * The members that `JSON.parse` kept. For a repeated name it keeps the last value, so the text then has more members.
 * Another reader may keep the first value, and act on a different request.
 */
function countMembers(json: unknown): number {
  let count = 0
  // A work list instead of recursion, because the caller chooses the depth.
  const values = [json]
  for (const value of values) {
    if (typeof value !== 'object' || value === null) continue
    const members = Object.values(value)
    if (!Array.isArray(value)) count += members.length
    values.push(...members)
  }
  return count
}

/** In valid JSON, a string before a colon is always a member's name. */
const STRING = /"(?:[^"\\]|\\.)*"(\s*:)?/g

function countWrittenMembers(json: string): number {
  let count = 0
  for (const [, colon] of json.matchAll(STRING)) if (colon) count += 1
  return count
}
