import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { type Answer, type Api, basicAuthorization, type Call } from './api.js'
import type { Credentials } from './clients.js'
import { PASSWORD } from './service.js'

interface Schema {
  type?: string
  const?: unknown
  enum?: unknown[]
  pattern?: string
  minLength?: number
  maxLength?: number
  examples?: unknown[]
  anyOf?: Schema[]
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: unknown
}

interface Operation {
  method: string
  path: string
  security: Record<string, string[]>[]
  parameters: { in: string; name: string; required?: boolean; schema: Schema }[]
  body: Schema | undefined
  /** By status: the check of the body. Undefined when the answer has no body. */
  answers: Map<string, ValidateFunction | undefined>
}

/** A request with placeholders for the things that exist now. */
interface Request {
  operation: number
  path: string
  headers: Record<string, string>
  body: string | undefined
}

/** The values of the placeholders. */
export interface Fixtures {
  access: string
  refresh: string
  client: string
  basic: string
  name: string
  user: string
  session: string
  /** A client that a request may delete. */
  service: string
}
const MARKS = ['access', 'refresh', 'client', 'basic', 'name', 'user', 'session', 'service'] as const
const mark = (name: keyof Fixtures) => `⟦${name}⟧`

/** Each operation of a document: how to call it, and its possible answers. */
export function operationsOf(document: {
  // biome-ignore lint/suspicious/noExplicitAny: a document of another's making, read once
  paths: Record<string, Record<string, any>>
}): Operation[] {
  const ajv = new Ajv2020({ strict: false })
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { security = [], parameters = [], requestBody, responses }]) => ({
      method: method.toUpperCase(),
      path,
      security,
      parameters,
      body: requestBody?.content['application/json'].schema,
      answers: new Map(
        // biome-ignore lint/suspicious/noExplicitAny: as above
        Object.entries<any>(responses).map(([status, { content }]) => {
          const schema = content?.['application/json']?.schema
          return [status, schema && ajv.compile(closed(schema))]
        }),
      ),
    })),
  )
}

/** The schema without additional members, because an answer must not say more than the document. */
function closed(schema: Schema): Schema {
  return {
    ...schema,
    ...(schema.items && { items: closed(schema.items) }),
    ...(schema.properties && {
      properties: Object.fromEntries(Object.entries(schema.properties).map(([name, part]) => [name, closed(part)])),
      additionalProperties: false,
    }),
  }
}

// Values that have broken programs before.
const hostile = fc.oneof(
  fc.constantFrom(
    ...['', ' ', '\0', 'a\0b', '\ud800', '\u202e', '\ufeff', '\r\nX: y', '%', '%00', '%2e%2e%2f', '../../etc/passwd'],
    ...['__proto__', 'constructor', 'toString', 'null', 'true', '-1', '1e999', 'NaN', '[object Object]', '{"$gt":""}'],
    ...[
      "' OR '1'='1",
      '*',
      'lk1:{x}:s:y',
      'x}:s:y',
      'İı',
      '👩‍👩‍👧',
      'e\u0301',
      '﷽',
      'ﬀ',
      'a'.repeat(257),
      '漢'.repeat(3000),
    ],
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(...MARKS.map(mark)),
)

const wrong = fc.oneof(
  fc.constantFrom<unknown>(null, true, 0, -1, 1.5, 2 ** 53, [], {}, [[]], [null], { a: { b: {} } }),
  fc.json({ maxDepth: 3 }).map((text) => JSON.parse(text) as unknown),
)

/** Parameters whose valid values no schema describes. */
const likely: Record<string, string[]> = {
  username: [mark('name'), 'grace'],
  password: [PASSWORD, PASSWORD, 'wrong'],
  current_password: [PASSWORD, PASSWORD, 'wrong'],
  new_password: ['seven tame otters hum'],
  password_hash: ['$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG'],
  token: [mark('access'), mark('refresh'), mark('client')],
  refresh_token: [mark('refresh')],
  grant_type: ['client_credentials', 'refresh_token', 'password'],
  scope: ['todo:read', ''],
  audience: ['http://latchkey.test'],
  overlap: ['1h', '0'],
  id: [mark('user')],
  sub: [mark('user')],
  sid: [mark('session')],
}

function right(name: string, schema: Schema): fc.Arbitrary<unknown> {
  const own = valid(schema)
  const values = likely[name]
  return values ? fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...values) }, { weight: 1, arbitrary: own }) : own
}

/** Values that the schema accepts. */
function valid(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(valid))
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum) return fc.constantFrom(...schema.enum)
  const examples = (schema.examples ?? []).map((example) => fc.constant(example))
  switch (schema.type) {
    case 'array':
      return fc.array(valid(schema.items ?? {}), { maxLength: 4 })
    case 'string':
      return fc.oneof(...examples, text(schema))
    default:
      return fc.oneof(...examples, wrong)
  }
}

function text({ pattern, minLength = 0, maxLength = 64 }: Schema): fc.Arbitrary<string> {
  if (pattern === undefined || pattern.includes('\\P'))
    return fc.string({ minLength, maxLength: Math.min(maxLength, 64) })
  return fc.stringMatching(new RegExp(pattern)).filter((value) => value.length <= maxLength)
}

/** Mostly valid, so that some requests pass the validation. Each part may be invalid in each way. */
function member(name: string, schema: Schema, isRequired: boolean): fc.Arbitrary<unknown> {
  return fc.oneof(
    { weight: 30, arbitrary: right(name, schema) },
    { weight: isRequired ? 1 : 12, arbitrary: fc.constant(undefined) },
    { weight: 2, arbitrary: hostile },
    { weight: 1, arbitrary: wrong },
  )
}

function objectOf(schema: Schema): fc.Arbitrary<Record<string, unknown>> {
  const { properties = {}, required = [] } = schema
  const members = Object.entries(properties).map(([name, part]) =>
    member(name, part, required.includes(name)).map((value): [string, unknown] => [name, value]),
  )
  const others = fc.array(
    fc.tuple(fc.oneof(fc.constantFrom('__proto__', 'constructor', 'id', 'extra'), hostile), wrong),
    {
      maxLength: 1,
    },
  )
  // A route that refuses unknown members gets them rarely. Otherwise nothing behind this refusal would run.
  const weight = schema.additionalProperties === false ? 20 : 1
  const extra = fc.oneof({ weight, arbitrary: fc.constant([]) }, { weight: 10, arbitrary: others })
  return fc.tuple(fc.tuple(...members), extra).map(([own, more]) => {
    const made: Record<string, unknown> = {}
    for (const [name, value] of [...own, ...more]) {
      if (value !== undefined)
        Object.defineProperty(made, String(name), { value, enumerable: true, configurable: true })
    }
    return made
  })
}

const FORM = 'application/x-www-form-urlencoded'

function bodyOf(schema: Schema): fc.Arbitrary<{ type: string; text: string }> {
  const sent = objectOf(schema)
  const json = sent.map((value) => ({ type: 'application/json', text: JSON.stringify(value) }))
  const form = sent.map((value) => ({
    type: FORM,
    text: Object.entries(value)
      .map(([name, one]) => `${encode(name)}=${encode(typeof one === 'string' ? one : JSON.stringify(one))}`)
      .join('&'),
  }))
  const broken = fc
    .tuple(fc.oneof(json, form), fc.nat(200), hostile)
    .map(([{ type, text }, at, more]) => ({ type, text: text.slice(0, at) + more + text.slice(at + 1) }))
  const odd = fc.tuple(
    fc.constantFrom(
      'text/plain',
      'application/xml',
      '',
      'application/json; charset=utf-16',
      'multipart/form-data',
      FORM,
    ),
    fc.oneof(
      hostile,
      wrong.map((value) => JSON.stringify(value)),
    ),
  )
  return fc.oneof(
    { weight: 20, arbitrary: json },
    { weight: 20, arbitrary: form },
    { weight: 2, arbitrary: broken },
    { weight: 1, arbitrary: odd.map(([type, text]) => ({ type, text })) },
    { weight: 1, arbitrary: wrong.map((value) => ({ type: 'application/json', text: JSON.stringify(value) })) },
  )
}

/** Skips text that an encoder would refuse: a lone surrogate has no UTF-8. Placeholders stay unchanged. */
function encode(value: string): string {
  return encodeURIComponent(Buffer.from(value).toString()).replaceAll('%E2%9F%A6', '⟦').replaceAll('%E2%9F%A7', '⟧')
}

const authorization = ({ security }: Operation): fc.Arbitrary<string | undefined> => {
  const mine = security.flatMap((scheme) =>
    'basic' in scheme
      ? [`Basic ${mark('basic')}`]
      : 'bearer' in scheme
        ? [`Bearer ${mark('access')}`]
        : 'clientToken' in scheme
          ? [`Bearer ${mark('client')}`]
          : 'refreshToken' in scheme
            ? [`Bearer ${mark('refresh')}`]
            : [],
  )
  return fc.oneof(
    ...(mine.length > 0 ? [{ weight: 20, arbitrary: fc.constantFrom(...mine) }] : []),
    { weight: mine.length > 0 ? 1 : 8, arbitrary: fc.constant(undefined) },
    {
      weight: 2,
      arbitrary: fc.constantFrom(
        ...['Bearer', 'Bearer a b', 'Basic', 'Basic !', 'Basic dG9kbzp4', 'Digest x', 'Bearer a.b.c'],
        ...[
          `Bearer ${mark('refresh')}`,
          `Bearer ${mark('access')}`,
          `Basic ${mark('basic')}`,
          `bearer ${mark('client')}`,
        ],
      ),
    },
  )
}

export function requests(operations: readonly Operation[]): fc.Arbitrary<Request> {
  const each = operations.map((operation, index) => {
    const inPath = operation.parameters.filter((parameter) => parameter.in === 'path')
    const inQuery = operation.parameters.filter((parameter) => parameter.in === 'query')
    const ofClient = operation.path.startsWith('/admin/clients/')
    const values = fc.tuple(
      ...inPath.map(({ name, schema }) => {
        // Only dots, or nothing, would be another address.
        return fc
          .oneof(
            { weight: 12, arbitrary: ofClient ? fc.constant(mark('service')) : right(name, schema) },
            { weight: 1, arbitrary: hostile },
          )
          .map((value) => {
            const written = inAddress(value)
            return /^\.{0,2}$/.test(written) ? 'x' : encode(written)
          })
      }),
    )
    const query = fc
      .tuple(
        ...inQuery.map(({ name, schema, required = false }) =>
          member(name, schema, required).map((value) =>
            value === undefined ? [] : [`${name}=${encode(inAddress(value))}`],
          ),
        ),
        fc.option(fc.constantFrom('x=1', 'x=1&x=2', '&&', 'a[b]=c', '__proto__=1', 'token=x', '%', 'scope=a&scope=b'), {
          nil: undefined,
          freq: 25,
        }),
      )
      .map((parts) => parts.flat().filter((part) => part !== undefined))
    return fc
      .record({
        values,
        query,
        authorization: authorization(operation),
        body: operation.body ? fc.option(bodyOf(operation.body), { nil: undefined, freq: 20 }) : fc.constant(undefined),
        address: fc.nat(60),
      })
      .map(({ values, query, authorization, body, address }): Request => {
        let path = operation.path.replace('{*}', 'x')
        for (const [i, { name }] of inPath.entries()) path = path.replace(`{${name}}`, () => values[i] as string)
        return {
          operation: index,
          path: query.length > 0 ? `${path}?${query.join('&')}` : path,
          headers: {
            'x-forwarded-for': `192.0.2.${address}`,
            ...(authorization !== undefined && { authorization }),
            ...(body?.type && { 'content-type': body.type }),
          },
          body: body?.text,
        }
      })
  })
  return fc.oneof(...each)
}

/** Headers over 8 KB are refused before routing. Other tests cover them. */
const inAddress = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, 300)

/** Sends the request with its placeholders filled. Returns the fault of the answer, or undefined. */
export async function send(
  api: Api,
  operations: readonly Operation[],
  { operation: index, path, headers, body }: Request,
  alive: Fixtures,
): Promise<{ status: number; fault: string | undefined }> {
  const operation = operations[index] as Operation
  const fill = (text: string) => text.replace(/⟦(\w+)⟧/g, (_all, name: keyof Fixtures) => alive[name] ?? '')
  const call: Call = {
    method: operation.method,
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, fill(value)])),
  }
  if (body !== undefined) call.raw = fill(body)
  const answer = await api.call(fill(path), call)
  return { status: answer.status, fault: faultOf(operation, answer) }
}

function faultOf({ answers, method }: Operation, { status, headers, text, body }: Answer): string | undefined {
  if (status >= 500) return `${status} ${text}`
  if (!answers.has(String(status))) return `${status} is not in the document: ${text}`
  const check = answers.get(String(status))
  if (!check) return text === '' ? undefined : `${status} has a body: ${text}`
  if (headers['content-type'] !== 'application/json; charset=utf-8') return `${status} is ${headers['content-type']}`
  if (!check(body)) return `${status} is not as documented: ${describe(check.errors)} in ${text}`
  if (status === 401 && !headers['www-authenticate']) return '401 names no scheme'
  if (status === 429 && !headers['retry-after']) return '429 says not when'
  if (status >= 400 && /FST_|[Ff]astify|[Ss]qlite|libsql|[Pp]ostgres|[Aa]jv|at .*\.js:\d/.test(text)) {
    return `it names what is inside: ${text}`
  }
  return method === 'HEAD' ? 'a HEAD is not in the document' : undefined
}

const describe = (errors: ErrorObject[] | null | undefined) =>
  JSON.stringify(errors?.map(({ instancePath, message }) => [instancePath, message]))

/**
 * Keeps the values of the placeholders alive: it recreates what earlier requests ended, deleted or signed out. It uses
 * its own address, which the accounts trust, so that wrong guesses of others do not delay it.
 */
export function createFixtures(api: Api, admin: Credentials, fuzzer: () => Promise<Credentials>) {
  const headers = { 'x-forwarded-for': '198.51.100.1' }
  let credentials: Credentials | undefined
  let alive: Fixtures | undefined
  let accounts = 0

  async function isAlive({ access, client, refresh }: Fixtures): Promise<boolean> {
    const both = await Promise.all([access, client].map((token) => api.isActive(token)))
    return both.every(Boolean) && refresh !== ''
  }

  return async (): Promise<Fixtures> => {
    if (alive && credentials && (await isAlive(alive))) return alive
    credentials = await fuzzer()
    const name = `fuzz-${accounts++}`
    const made = await api.call('/admin/users', {
      json: { username: name, password: PASSWORD, roles: ['editor'] },
      headers: { ...headers, ...basicAuthorization(admin) },
    })
    const service = `service-${accounts}`
    await api.call('/admin/clients', { json: { id: service }, headers: basicAuthorization(admin) })
    const json = { username: name, password: PASSWORD, scope: 'todo:read' }
    const tokens = (await api.call('/login', { json, headers })).body
    const form = { grant_type: 'client_credentials' }
    const own = (await api.call('/token', { form, headers: basicAuthorization(credentials) })).body
    alive = {
      access: tokens.access_token,
      refresh: tokens.refresh_token,
      client: own.access_token,
      basic: basicAuthorization(credentials).authorization.slice('Basic '.length),
      name,
      user: made.body.id,
      session: tokens.sid,
      service,
    }
    return alive
  }
}
