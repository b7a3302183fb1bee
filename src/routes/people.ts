import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { SecondFactorDependencies } from '../grants/second-factor.js'
import type { SignInDependencies } from '../grants/sign-in.js'
import { registerRefreshCookie } from '../http/refresh-cookie.js'
import type { Throttle } from '../throttle/throttle.js'
import type { PasswordHashing } from '../users/password-hashing.js'
import type { LiveTokenDependencies } from './guards/live-token.js'
import { login } from './login.js'
import { loginMfa } from './login-mfa.js'
import { loginPasskey } from './login-passkey.js'
import { stepUp } from './login-step-up.js'
import { logout } from './logout.js'
import { logoutAll } from './logout-all.js'
import { recovery } from './recovery.js'
import { refresh } from './refresh.js'
import { sessionRoutes } from './sessions.js'
import { signUp } from './users.js'
import { deleteOwnAccount } from './users-me.js'
import { factorRoutes } from './users-me-factors.js'
import { passkeyRoutes } from './users-me-passkeys.js'
import { changePassword } from './users-me-password.js'
import { totpRoutes } from './users-me-totp.js'

interface Dependencies
  extends LiveTokenDependencies,
    Omit<SignInDependencies, 'refreshCookie'>,
    SecondFactorDependencies {
  throttle: Throttle
  hashing: PasswordHashing
  signUp: 'open' | 'closed'
  passwordMinLength: number
  rpId: string
  /** Undefined: no answer sets a cookie, and no route reads one. */
  cookieOrigins: readonly string[] | undefined
}

/** How people sign up, sign in and out, prove who they are, and change what they prove it with. */
export const people: FastifyPluginAsyncTypebox<Dependencies> = async (app, { cookieOrigins, ...services }) => {
  const dependencies = { ...services, refreshCookie: registerRefreshCookie(app, cookieOrigins) }
  // The routes share one scope, because none of them adds a hook. A scope for each takes 0.7 ms of the start.
  await signUp(app, dependencies)
  await changePassword(app, dependencies)
  await deleteOwnAccount(app, dependencies)
  await login(app, dependencies)
  await loginMfa(app, dependencies)
  await loginPasskey(app, dependencies)
  await stepUp(app, dependencies)
  await refresh(app, dependencies)
  await logout(app, dependencies)
  await logoutAll(app, dependencies)
  await sessionRoutes(app, dependencies)
  await recovery(app, dependencies)
  await factorRoutes(app, dependencies)
  await totpRoutes(app, dependencies)
  await passkeyRoutes(app, dependencies)
}
