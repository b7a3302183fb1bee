import formbody from '@fastify/formbody'
import { parse as parseQuery } from 'fast-querystring'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { refusal } from './errors.js'

/** What a request may carry, and the refusal of all that two readers could read in two ways. */
export async function registerBodies(app: FastifyInstance): Promise<void> {
  app.addHook('onRequest', async (request) => {
    refuseSecretsInQuery(request)
    refuseTwoCredentials(request)
    refuseEncodedBody(request)
  })
  // No body is a body without parameters: what is missing is then said by name.
  app.addHook('preValidation', async (request) => {
    request.body ??= {}
  })

  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text, done) => {
    // Clients that always name a type send it with nothing behind it.
    if (text === '') return done(null, {})
    parseJson(request, text as string, (error, body) => {
      if (error) return done(refusal.invalidRequest('the body is not JSON, or names __proto__'))
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
  for (const name of ['token', 'access_token', 'refresh_token', 'password', 'client_secret']) {
    if (Object.hasOwn(query as object, name)) {
      throw refusal.invalidRequest(`${name} must not be in the address: send it in the body or as the bearer token`)
    }
  }
}

/** Node keeps the first of two Authorization headers; a gateway before us may have looked at the second. */
function refuseTwoCredentials({ raw: { rawHeaders } }: FastifyRequest): void {
  let count = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string
    if (name.length === 13 && name.toLowerCase() === 'authorization') count += 1
  }
  if (count > 1) throw refusal.invalidRequest('there are two Authorization headers: send one')
}

function refuseEncodedBody({ headers }: FastifyRequest): void {
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw refusal.unsupportedMediaType('send the body as it is, with no Content-Encoding')
  }
  const charset = /;\s*charset\s*=\s*"?([^\s";]*)/i.exec(headers['content-type'] ?? '')?.[1]
  if (charset !== undefined && charset.toLowerCase() !== 'utf-8') {
    throw refusal.unsupportedMediaType('send the body as UTF-8')
  }
}

function parseForm(text: string): Record<string, unknown> {
  const form = parseQuery(text)
  for (const [name, value] of Object.entries(form)) {
    if (Array.isArray(value)) throw refusal.invalidRequest('the body names a parameter twice')
    if (name === '__proto__') throw refusal.invalidRequest('the body names __proto__')
  }
  return form
}

/**
 * Members that `JSON.parse` kept; fewer than were written where a name stands twice, for it keeps the last.
 * Another reader may keep the first: then the two act on different requests.
 */
function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const inner = Object.values(value).reduce((sum: number, member) => sum + countMembers(member), 0)
  return Array.isArray(value) ? inner : Object.keys(value).length + inner
}

/** In valid JSON a string stands before a colon exactly where it is a member's name. */
const NAME = /"(?:[^"\\]|\\.)*"(\s*:)?/g

function countWrittenMembers(json: string): number {
  let count = 0
  for (const [, colon] of json.matchAll(NAME)) if (colon) count += 1
  return count
}
