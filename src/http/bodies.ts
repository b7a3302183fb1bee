import formbody from '@fastify/formbody'
import { parse as parseQuery } from 'fast-querystring'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { SECRET_PARAMETERS } from '../secret-fields.js'
import { refusal } from './errors.js'

/** What a request may carry, and the refusal of all that two readers could read in two ways. */
export async function registerBodies(app: FastifyInstance): Promise<void> {
  app.addHook('onRequest', (request, _reply, done) => {
    try {
      refuseSecretsInQuery(request)
      refuseRepeatedQuery(request)
      refuseEncodedBody(request)
      done()
    } catch (error) {
      done(error as Error)
    }
  })
  // No body is a body without parameters: what is missing is then said by name.
  app.addHook('preValidation', (request, _reply, done) => {
    request.body ??= {}
    done(asciiForms.has(request) && !isAscii(request.body) ? refusal.unsupportedMediaType(SEND_UTF8) : undefined)
  })

  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text, done) => {
    // Clients that always name a type send it with nothing behind it.
    if (text === '') return done(null, {})
    refuseOtherThanUtf8(text as string)
    parseJson(request, text as string, (error, body) => {
      if (error) return done(refusal.invalidRequest('the body is not JSON, or names __proto__'))
      if (hasLoneSurrogate(text as string)) {
        return done(
          refusal.invalidRequest('the body has half of a surrogate pair (\\ud800 to \\udfff): send both halves'),
        )
      }
      if (countMembers(body) < countWrittenMembers(text as string)) {
        return done(refusal.invalidRequest('the body names a parameter twice'))
      }
      return done(null, body)
    })
  })

  await app.register(formbody, { parser: parseForm })
}

/** RFC 6750 §5.3: a token in an address ends up in logs, histories and Referer headers. */
function refuseSecretsInQuery({ query }: FastifyRequest): void {
  for (const name of SECRET_PARAMETERS) {
    if (Object.hasOwn(query as object, name)) {
      throw refusal.invalidRequest(`${name} must not be in the address: send it in the body or as the bearer token`)
    }
  }
}

/** Known or not: of two, another reader may take the other. */
function refuseRepeatedQuery({ query }: FastifyRequest): void {
  for (const value of Object.values(query as object)) {
    if (Array.isArray(value)) throw refusal.invalidRequest('the address names a parameter twice')
  }
}

function refuseEncodedBody(request: FastifyRequest): void {
  const { headers } = request
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw refusal.unsupportedMediaType('send the body as it is, with no Content-Encoding')
  }
  const contentType = headers['content-type']
  if (contentType !== undefined && /charset/i.test(contentType)) refuseCharset(request, contentType)
}

const SEND_UTF8 = 'send the body as UTF-8'
/** A parameter of a media type, its value as a token or as a quoted string (RFC 9110 §5.6.6). */
const PARAMETER = /;\s*([^\s=;]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)/g
/** Forms that name a charset which is like UTF-8 for ASCII, and for nothing else. */
const asciiForms = new WeakSet<FastifyRequest>()

/**
 * UTF-8 under each of its names. A form may also name Latin-1 or ASCII, as old libraries do, while all of it is ASCII when its
 * percent-encoding is decoded: then it is the same text in both. Of two charsets, another reader may take the other.
 */
function refuseCharset(request: FastifyRequest, contentType: string): void {
  const charsets = [...contentType.matchAll(PARAMETER)].flatMap(([, name = '', value = '']) =>
    name.toLowerCase() === 'charset' ? [value.trim().replace(/^(["'])(.*)\1$/, '$2')] : [],
  )
  if (charsets.length > 1) throw refusal.ambiguous('Content-Type names its charset twice')
  const [charset] = charsets
  if (charset === undefined) return
  const encoding = encodingOf(charset)
  if (encoding === 'utf-8') return
  const isForm = /^\s*application\/x-www-form-urlencoded\s*;/i.test(contentType)
  if (!isForm || encoding !== 'windows-1252') throw refusal.unsupportedMediaType(SEND_UTF8)
  asciiForms.add(request)
}

/** The encoding of a label: the web's list has `utf8` for UTF-8, and windows-1252 for `iso-8859-1` and `us-ascii`. */
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

/** Bytes that are no UTF-8 would all become one replacement character, and so different passwords one and the same. */
function refuseOtherThanUtf8(text: string): void {
  if (text.includes('\uFFFD')) throw refusal.invalidRequest('the body is not UTF-8')
}

/** An escape in a JSON text: a surrogate pair, half of a pair, or any other. */
const ESCAPE = /\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F])|.)/g

/**
 * Half of a surrogate pair is no character. Encoded as UTF-8 every half becomes the replacement character, and so different
 * passwords one and the same.
 */
function hasLoneSurrogate(json: string): boolean {
  // Most bodies have no such escape.
  if (!/\\u[dD][89a-fA-F]/.test(json)) return false
  for (const [, half] of json.matchAll(ESCAPE)) if (half !== undefined) return true
  return false
}

function parseForm(text: string): Record<string, unknown> {
  refuseOtherThanUtf8(text)
  if (text.includes('%') && !isPercentEncoded(text)) {
    throw refusal.invalidRequest('the form is not percent-encoded UTF-8: a lone % is written %25')
  }
  const form = parseQuery(text)
  for (const [name, value] of Object.entries(form)) {
    if (Array.isArray(value)) throw refusal.invalidRequest('the body names a parameter twice')
    if (name === '__proto__') throw refusal.invalidRequest('the body names __proto__')
    // RFC 6749 §3.1: a parameter without a value counts as left out.
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
 * Members that `JSON.parse` kept; fewer than were written where a name stands twice, for it keeps the last.
 * Another reader may keep the first: then the two act on different requests.
 */
function countMembers(json: unknown): number {
  let count = 0
  // A list, not a recursion: the caller says how deep it goes.
  const values = [json]
  for (const value of values) {
    if (typeof value !== 'object' || value === null) continue
    const members = Object.values(value)
    if (!Array.isArray(value)) count += members.length
    values.push(...members)
  }
  return count
}

/** In valid JSON a string stands before a colon exactly where it is a member's name. */
const NAME = /"(?:[^"\\]|\\.)*"(\s*:)?/g

function countWrittenMembers(json: string): number {
  let count = 0
  for (const [, colon] of json.matchAll(NAME)) if (colon) count += 1
  return count
}
