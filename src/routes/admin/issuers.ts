import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { CreateIssuer, DeleteIssuer, ListIssuers, ReadIssuer } from '../../../schemas/admin/issuers.js'
import { type ListedIssuer, parseIssuer } from '../../clients/trusted-issuers.js'
import { refusal } from '../../http/errors.js'
import { toUnixSeconds } from '../../unix-seconds.js'
import { callingAdministrator } from '../guards/caller.js'
import { requireValue } from '../requests/client-proof.js'
import { jwksBody } from '../responses/client.js'
import type { AdminDependencies } from './dependencies.js'

/** `/admin/issuers`: the issuers whose tokens may authenticate clients. */
export const issuersRoutes: FastifyPluginAsyncTypebox<AdminDependencies> = async (app, dependencies) => {
  const { issuers, production, audit } = dependencies

  app.get('/admin/issuers', { schema: ListIssuers }, async () => {
    return { issuers: (await issuers.list()).map(issuerBody) }
  })

  app.post('/admin/issuers', { schema: CreateIssuer }, async (request, reply) => {
    const { id: by } = callingAdministrator(request)
    const { name, issuer, jwks, jwks_uri: jwksUri, ca_file: caFile, bearer_file: bearerFile } = request.body
    const parsed = requireValue(() => parseIssuer({ name, issuer, jwks, jwksUri, caFile, bearerFile }, !production))

    if (!(await issuers.create(parsed))) throw refusal.issuerNameTaken()
    audit(request, { event: 'issuer.created', issuer: name, by })
    const created = await issuers.read(name)
    // Another administrator may have deleted the issuer just now.
    if (!created) throw refusal.unavailable()
    return reply.code(201).send(issuerBody(created))
  })

  app.get('/admin/issuers/:name', { schema: ReadIssuer }, async (request) => {
    const issuer = await issuers.read(request.params.name)
    if (!issuer) throw refusal.noSuch('issuer')
    return issuerBody(issuer)
  })

  app.delete('/admin/issuers/:name', { schema: DeleteIssuer }, async (request, reply) => {
    const { id: by } = callingAdministrator(request)
    const { name } = request.params

    const outcome = await issuers.delete(name)
    if (outcome === 'unknown') throw refusal.noSuch('issuer')
    if (outcome !== 'deleted') throw refusal.issuerInUse(outcome.clients)
    audit(request, { event: 'issuer.deleted', issuer: name, by })
    return reply.code(204).send(null)
  })
}

function issuerBody({ name, issuer, jwksUri, jwks, caFile, bearerFile, createdAt }: ListedIssuer) {
  return {
    name,
    issuer,
    jwks_uri: jwksUri ?? null,
    jwks: jwksBody(jwks),
    ca_file: caFile ?? null,
    bearer_file: bearerFile ?? null,
    created_at: toUnixSeconds(createdAt),
  }
}
