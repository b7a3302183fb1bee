import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import { test } from 'tap'

const folder = new URL('../../schemas/', import.meta.url)
const files = readdirSync(fileURLToPath(folder), { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.js'),
)

for (const file of files) {
  test(`the request schemas of ${file} are valid JSON Schema`, async (t) => {
    const ajv = new Ajv({ keywords: ['x-rule'] })
    const routes: Record<string, Record<string, object>> = await import(new URL(file, folder).href)
    for (const [name, { body, querystring, params, headers }] of Object.entries(routes)) {
      for (const schema of [body, querystring, params, headers]) {
        if (!schema) continue
        t.ok(ajv.validateSchema(schema), name, { errors: ajv.errors })
        // The service compiles a schema only when a caller comes.
        t.doesNotThrow(() => ajv.compile(schema), name)
      }
    }
  })
}
