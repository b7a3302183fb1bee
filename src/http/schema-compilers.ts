import buildValidators from '@fastify/ajv-compiler'
import buildSerializers from '@fastify/fast-json-stringify-compiler'

/**
 * Compiles a schema when its first value comes, and each different schema once in a process. Fastify would compile the schema of
 * each route and status at the start: 650 response schemas, of which 47 differ, because every route has the same error bodies.
 * Even each different schema once would take a fifth of the CPU of the start.
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
  const calls = new Map<string, Call>()
  // `createServer` always gives the same options.
  return (referenced: Referenced, options: Options) => (route: Route) => {
    const { schema } = route as { schema: unknown }
    const key = JSON.stringify([referenced, schema])
    let compiled: Compiled | undefined
    const call =
      calls.get(key) ??
      wrap(() => {
        compiled ??= build(referenced, options)(route)
        return compiled
      })
    calls.set(key, call)
    return call
  }
}
