import { Type } from 'typebox'

const state = Type.Object({ status: Type.String() })

/** `GET /livez`, on the management port */
export const Livez = { summary: 'Whether the process runs', response: { 200: state } }

const readiness = Type.Object({
  status: Type.String(),
  checks: Type.Record(Type.String(), Type.String(), { description: 'Each dependency: `ok`, or what is wrong' }),
})

/** `GET /readyz`, on the management port; `?exclude=database` asks of the others alone, as Kubernetes' own does */
export const Readyz = {
  summary: 'Whether requests can be served',
  querystring: Type.Object({ exclude: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])) }),
  response: { 200: readiness, 503: readiness },
}
