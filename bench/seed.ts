import { createHmac, randomBytes, randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AccessTokenClaims } from '@latchkey/verifier/access-token'
import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import type { Config } from '../src/config/config.js'
import { createRefreshTokens } from '../src/sessions/refresh-token.js'
import type { SessionStore } from '../src/sessions/session.js'
import { type AccessTokens, createAccessTokens } from '../src/tokens/access-tokens.js'
import { createJtiMac } from '../src/tokens/jti-mac.js'
import { createSecretKeyRing } from '../src/tokens/key-ring.js'

interface Seeded {
  /** Files with one token on each line. */
  accessTokens: string
  refreshTokens: string
}

/** Creates sessions directly in the store, without a sign-in, and writes their tokens into files for the load generator. */
export async function seedSessions(
  sessions: SessionStore,
  config: Config,
  { users, each, folder, name }: { users: number; each: number; folder: string; name: string },
): Promise<Seeded> {
  const refreshTokens = createRefreshTokens(config.refreshSecrets, config.issuer)
  const tokens = createBenchTokens(config)
  const [access, refresh]: string[][] = [[], []]
  for (let user = 0; user < users; user += 1) {
    const sub = randomUUID()
    const created = await Promise.all(
      Array.from({ length: each }, () =>
        sessions.create({
          sid: randomBytes(16).toString('base64url'),
          sub,
          username: `user-${user}`,
          clientId: FIRST_PARTY_CLIENT_ID,
          scope: 'todo:read todo:write',
          audience: config.audiences[0],
          roles: [],
          amr: ['pwd'],
          deviceName: 'bench',
          ip: '127.0.0.1',
          userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
        }),
      ),
    )
    for (const { session } of created) {
      access?.push(tokens.issue(session).token)
      refresh?.push(refreshTokens.mint(session))
    }
  }
  const write = (kind: string, lines: string[] = []) => {
    const path = join(folder, `${name}-${kind}`)
    writeFileSync(path, `${lines.join('\n')}\n`)
    return path
  }
  return { accessTokens: write('access', access), refreshTokens: write('refresh', refresh) }
}

/** Issues access tokens without a service. */
export function createBenchTokens(config: Config): AccessTokens {
  return createAccessTokens({
    issuer: config.issuer,
    audiences: config.audiences,
    ring: createSecretKeyRing(config.jwtSecrets),
    jtiMac: createJtiMac(config.refreshSecrets),
    accessTtl: config.accessTtl,
    sign: (claims, { kid }) => signAccessToken(claims, kid, config.jwtSecrets[0]),
  })
}

/** Signs an access token without the service. */
function signAccessToken(claims: AccessTokenClaims, kid: string, secret: string): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${encode({ alg: 'HS256', typ: 'at+jwt', kid })}.${encode(claims)}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}
