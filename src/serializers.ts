import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'

/**
 * Fastify's own serializers, one for all answers of one form. Every route has up to ten refusals, which differ in their
 * descriptions alone: with one for each, a start took 30 ms and 4 MB more.
 */
export const buildSerializer: ReturnType<typeof SerializerSelector> = (externalSchemas, options) => {
  const compile = SerializerSelector()(externalSchemas, options)
  const made = new Map<string, ReturnType<typeof compile>>()
  return (route) => {
    const form = JSON.stringify({ ...(route.schema as object), description: undefined, examples: undefined })
    const serialize = made.get(form) ?? compile(route)
    made.set(form, serialize)
    return serialize
  }
}
