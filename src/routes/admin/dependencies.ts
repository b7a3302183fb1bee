import type { Audit } from '../../audit.js'
import type { TrustedIssuers } from '../../clients/trusted-issuers.js'
import type { Factors } from '../../factors/factor.js'
import type { Users } from '../../users/users.js'
import type { LiveTokenDependencies } from '../guards/live-token.js'

export interface AdminDependencies extends LiveTokenDependencies {
  users: Users
  issuers: TrustedIssuers
  production: boolean
  factors: Factors
  audit: Audit
  passwordMinLength: number
}
