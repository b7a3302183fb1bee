import buildValidators from '@fastify/ajv-compiler'
import buildSerializers from '@fastify/fast-json-stringify-compiler'

/**
 * Compiles each different schema once in a process. Fastify compiles the schema of each route and status: 650 response
 * schemas, of which 47 differ, because every route has the same error bodies. This would add 65 ms of CPU to the start.
 */
export const schemaCompilers = {
  buildValidator: compileOnce(buildValidators()),
  buildSerializer: compileOnce(buildSerializers()),
}

function compileOnce<Referenced, Options, Route, Compiled>(
  build: (referenced: Referenced, options: Options) => (route: Route) => Compiled,
) {
  const compiled = new Map<string, Compiled>()
  // `createServer` always gives the same options.
  return (referenced: Referenced, options: Options) => {
    const compile = build(referenced, options)
    return (route: Route) => {
      const { schema } = route as { schema: unknown }
      const key = JSON.stringify([referenced, schema])
      const known = compiled.get(key) ?? compile(route)
      compiled.set(key, known)
      return known
    }
  }
}
