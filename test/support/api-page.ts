import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createService } from '../../src/app.js'
import { addDevelopmentSecrets } from '../../src/config/development-secrets.js'
import { readConfig } from '../../src/config/read.js'
import { createLogger } from '../../src/log.js'

interface Schema {
  type?: string | string[]
  description?: string
  format?: string
  const?: unknown
  enum?: unknown[]
  minLength?: number
  maxLength?: number
  required?: string[]
  properties?: Record<string, Schema>
  items?: Schema
  anyOf?: Schema[]
}

interface Media {
  schema: Schema
  example?: unknown
  examples?: Record<string, { value: unknown }>
}

interface Operation {
  summary?: string
  description?: string
  tags?: string[]
  security?: Record<string, unknown>[]
  parameters?: { name: string; in: string; required?: boolean; description?: string; schema: Schema }[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<string, { description: string; content?: Record<string, Media> }>
}

interface Document {
  tags: { name: string; description: string }[]
  paths: Record<string, Record<string, Operation>>
}

const SETTINGS = {
  JWT_SECRET: 'the-page-of-the-api-signs-nothing-9fKq2Lx7Zr4V',
  REFRESH_SECRET: 'nor-does-it-refresh-anything-3Hs6Gp0YjWq9Ea2R',
  BOOTSTRAP_CLIENT: 'page:the-page-of-the-api-asks-nobody-Rt7Uy4Io1Pl',
}

/** Writes docs/api.md from the OpenAPI document of the service. */
export async function apiPage(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-page-'))
  const config = addDevelopmentSecrets(
    readConfig({ ...SETTINGS, DATABASE_URL: `sqlite:${join(folder, 'latchkey.db')}` }),
  )
  const service = await createService(config, createLogger('silent'))
  try {
    return pageOf((await service.app.inject('/openapi.json')).json())
  } finally {
    await service.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

function pageOf({ tags, paths }: Document): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  )
  const sections = tags.flatMap(({ name, description }) => [
    `## ${description}`,
    ...operations.filter(({ operation }) => operation.tags?.includes(name)).map(section),
  ])
  const others = operations.filter(
    ({ operation }) => !operation.tags?.some((tag) => tags.some(({ name }) => name === tag)),
  )
  return `${[
    '# The API',
    `<!-- written by \`npm run docs\` from the OpenAPI document, which the service answers at /openapi.json -->

After this page you can call every route, and know its parameters, answers and errors. While the service runs, you can try the
calls at /docs.

A body is JSON or a form, and an answer is JSON. Every error is \`{"error": code, "error_description": text}\`. \\* marks a required
parameter.`,
    ...sections,
    ...(others.length > 0 ? ['## Others', ...others.map(section)] : []),
  ].join('\n\n')}\n`
}

function section({ name, operation }: { name: string; operation: Operation }): string {
  const { summary, description, security, parameters = [], requestBody, responses } = operation
  const callers = security?.flatMap((each) => Object.keys(each)) ?? []
  const body = Object.values(requestBody?.content ?? {})[0]
  const fields = Object.entries(body?.schema.properties ?? {}).map(([field, schema]) => ({
    field,
    place: '',
    isRequired: body?.schema.required?.includes(field) ?? false,
    schema,
    about: schema.description,
  }))
  const asked = [
    ...parameters.map((each) => ({
      field: each.name,
      place: ` (${each.in})`,
      isRequired: each.required ?? false,
      schema: each.schema,
      about: each.description ?? each.schema.description,
    })),
    ...fields,
  ]
  return [
    `### ${name}`,
    [summary && `${summary}.`, description].filter(Boolean).join(' '),
    callers.length > 0
      ? `Credentials: ${[...new Set(callers)].map((each) => CREDENTIALS[each] ?? each).join(', or ')}.`
      : '',
    asked.length > 0
      ? table(
          ['parameter', 'type', ''],
          asked.map(({ field, place, isRequired, schema, about }) => [
            `\`${field}\`${place}${isRequired ? ' *' : ''}`,
            typeOf(schema),
            about ?? '',
          ]),
        )
      : '',
    body ? shown('Sent', body) : '',
    table(
      ['status', ''],
      Object.entries(responses).map(([status, each]) => [status, each.description]),
    ),
    ...Object.entries(responses)
      .filter(([status]) => status < '300')
      .flatMap(([status, { content }]) =>
        Object.values(content ?? {}).map((media) => shown(`Answer ${status}`, media)),
      ),
  ]
    .filter(Boolean)
    .join('\n\n')
}

const CREDENTIALS: Record<string, string> = {
  bearer: 'an access token of a person',
  refreshToken: 'a refresh token',
  clientToken: 'an own token of a client',
  basic: 'id and secret of a client',
}

function shown(what: string, { example, examples }: Media): string {
  const value = example ?? Object.values(examples ?? {})[0]?.value
  return value === undefined ? '' : `${what}:\n\n\`\`\`json\n${JSON.stringify(value, null, 2)}\n\`\`\``
}

function typeOf(schema: Schema): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(', ')
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' or ')
  const type = [schema.type ?? 'any'].flat().join(' or ')
  const { minLength = 0, maxLength } = schema
  return maxLength === undefined ? type : `${type}, ${minLength} to ${maxLength} characters`
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
