import type { FastifyRequest } from 'fastify'
import type { Audit } from '../../audit.js'
import type { Users } from '../../users/users.js'
import { requireValid } from './bearer.js'
import { requireClient } from './client.js'
import type { LiveTokenDependencies } from './live-token.js'

export interface AdminDependencies extends LiveTokenDependencies {
  users: Users
  audit: Audit
  passwordMinLength: number
}

/**
 * Guard: a client with the scope admin calls, and what it sent is in order. Answers with its id, for the audit log.
 * Each route sets `attachValidation`: who calls is asked before what they sent.
 */
export async function requireAdmin(request: FastifyRequest, dependencies: AdminDependencies): Promise<string> {
  const { id } = await requireClient(request, 'admin', dependencies)
  requireValid(request)
  return id
}
