import type { TrustedIssuers } from '../../clients/trusted-issuers.js'
import type { Factors } from '../../factors/factor.js'
import type { AdministratorDependencies } from '../guards/administrator.js'

export interface AdminDependencies extends AdministratorDependencies {
  issuers: TrustedIssuers
  production: boolean
  factors: Factors
  passwordMinLength: number
}
