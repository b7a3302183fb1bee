import type { Api } from './api.js'

/** An operation of the OpenAPI document. */
interface DocumentedRoute {
  /** `DELETE /sessions/{sid}` */
  name: string
  method: string
  /** The address with an unknown id in the place of each parameter. */
  path: string
  hasBody: boolean
}

/** The form of the id of a session. No session, account or client has this id. */
const UNKNOWN_ID = '9f8Hn1VnTz2cUWl0q3yJ8A'
/** A gateway asks these routes with the method and the query of its own caller. */
const FOR_GATEWAYS = /^\/verify(\/|$)/

/** Each operation of the OpenAPI document. The service must run with the setting `DOCS: 'on'`. */
async function documentedRoutes(api: Api): Promise<DocumentedRoute[]> {
  const { status, body } = await api.call('/openapi.json')
  if (status !== 200) throw new Error(`/openapi.json answered ${status}: set DOCS to on`)
  const { paths } = body as { paths: Record<string, Record<string, { requestBody?: object }>> }
  const routes = Object.entries(paths).flatMap(([address, methods]) =>
    Object.entries(methods).map(([method, { requestBody }]) => ({
      name: `${method.toUpperCase()} ${address}`,
      method: method.toUpperCase(),
      path: address.replace('{*}', 'x').replace(/\{\w+\}/g, UNKNOWN_ID),
      hasBody: requestBody !== undefined,
    })),
  )
  if (routes.length < 50) throw new Error(`the document has ${routes.length} operations only`)
  return routes
}

/** Each operation except those for gateways, which accept every method and query. */
export async function routesForCallers(api: Api): Promise<DocumentedRoute[]> {
  return (await documentedRoutes(api)).filter(({ path }) => !FOR_GATEWAYS.test(path))
}

/** Each operation that has a body in the document. */
export async function routesWithBody(api: Api): Promise<DocumentedRoute[]> {
  return (await documentedRoutes(api)).filter(({ hasBody }) => hasBody)
}
