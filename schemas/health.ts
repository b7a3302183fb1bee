import { ErrorBody } from './error.js'
import { Type } from './typebox.js'

const state = Type.Object({ status: Type.String() })

/** `GET /livez`, on the management port */
export const Livez = { summary: 'Whether the process runs', response: { 200: state } }

const readiness = {
  status: Type.String(),
  checks: Type.Record(Type.String(), Type.String(), { description: 'For each dependency `ok`, or the fault' }),
}

/** `GET /readyz`, on the management port. `?exclude=database` skips this check, as in Kubernetes' own `/readyz`. */
export const Readyz = {
  summary: 'Whether requests can be served',
  querystring: Type.Object({ exclude: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])) }),
  response: {
    200: Type.Object(readiness),
    503: Type.Object({ ...ErrorBody.properties, ...readiness }),
  },
}
