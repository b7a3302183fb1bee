import type { Audit } from '../../audit.js'
import type { Users } from '../../users/users.js'
import type { LiveTokenDependencies } from '../guards/live-token.js'

export interface AdminDependencies extends LiveTokenDependencies {
  users: Users
  audit: Audit
  passwordMinLength: number
}
