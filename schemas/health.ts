import { Type } from 'typebox'

const state = Type.Object({ status: Type.String() })

/** `GET /livez`, on the management port */
export const Livez = { summary: 'Whether the process runs', response: { 200: state } }

const readiness = Type.Object({
  status: Type.String(),
  checks: Type.Record(Type.String(), Type.String(), { description: 'Each dependency: `ok`, or what is wrong' }),
})

/** `GET /readyz`, on the management port */
export const Readyz = { summary: 'Whether requests can be served', response: { 200: readiness, 503: readiness } }
