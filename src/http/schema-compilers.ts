import buildValidators from '@fastify/ajv-compiler'
import buildSerializers from '@fastify/fast-json-stringify-compiler'

/**
 * Compiles a schema when its first value comes, and each schema once in a process. Fastify would compile the schema of each route
 * and status at the start: 700 response schemas. Most are shared: every route has the same error bodies. Even each different schema
 * once would take a fifth of the CPU of the start.
 */
export const schemaCompilers = {
  // The type asks for members of Ajv too, which Fastify does not need.
  buildValidator: compileLate(
    buildValidators(),
    (compiled) => (value: unknown) => compiled()(value) || { error: compiled().errors },
  ) as unknown as ReturnType<typeof buildValidators>,
  buildSerializer: compileLate(buildSerializers(), (compiled) => (value: unknown) => compiled()(value)),
}

/** @param wrap makes the function that Fastify calls. Its parameter gives the compiled schema */
function compileLate<Referenced, Options, Route, Compiled, Call>(
  build: (referenced: Referenced, options: Options) => (route: Route) => Compiled,
  wrap: (compiled: () => Compiled) => Call,
) {
  const calls = new WeakMap<object, Call>()
  // `createServer` always gives the same options, and no schema refers to another.
  return (referenced: Referenced, options: Options) => (route: Route) => {
    const { schema } = route as { schema: object }
    let compiled: Compiled | undefined
    const call =
      calls.get(schema) ??
      wrap(() => {
        compiled ??= build(referenced, options)(route)
        return compiled
      })
    calls.set(schema, call)
    return call
  }
}
