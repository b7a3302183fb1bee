import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import buildSerializers from '@fastify/fast-json-stringify-compiler'
import { Ajv } from 'ajv'
import { test } from 'tap'

const folder = new URL('../../schemas/', import.meta.url)
const files = readdirSync(fileURLToPath(folder), { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.js'),
)

const buildSerializer = buildSerializers()({}, {})

for (const file of files) {
  test(`the schemas of ${file} are valid JSON Schema`, async (t) => {
    const ajv = new Ajv({ keywords: ['x-rule'] })
    const routes: Record<string, Record<string, object> & { response?: object }> = await import(
      new URL(file, folder).href
    )
    for (const [name, { body, querystring, params, headers, response = {} }] of Object.entries(routes)) {
      for (const schema of [body, querystring, params, headers]) {
        if (!schema) continue
        t.ok(ajv.validateSchema(schema), name, { errors: ajv.errors })
        // The service compiles a schema only when a caller comes.
        t.doesNotThrow(() => ajv.compile(schema), name)
      }
      for (const [status, schema] of Object.entries(response)) {
        t.doesNotThrow(
          () => buildSerializer({ schema, method: 'GET', url: '/', httpStatus: status }),
          `${name} ${status}`,
        )
      }
    }
  })
}
