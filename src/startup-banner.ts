import type { Config } from './config/config.js'
import { readVersion } from './version.js'

/** The members of the one line that says what has started. It holds no secret. */
export function startLine(config: Config, kids: readonly string[], ports: { port: number; managementPort: number }) {
  const { databaseUrl, redis, issuer, signUp, tls } = config
  const database = databaseUrl.startsWith('sqlite:') ? databaseUrl : 'Postgres'
  const sessions = redis ? `Redis (${redis.mode})` : 'the database'
  return { version: readVersion(), database, sessions, issuer, signUp, kids, ...ports, tls: tls !== undefined }
}

/** What a first-time user needs: the addresses and commands to paste. Printed outside production, because it shows a secret. */
export function startupBanner({ docs, generated, signUp, databaseUrl, redis }: Config, address: string): string {
  const base = address.replace('[::1]', 'localhost').replace('127.0.0.1', 'localhost')
  const client = generated?.client
  const lines = [
    '',
    `Latchkey runs at ${base}${docs ? `, and its API page is ${base}/docs` : ''}`,
    `Accounts are in ${databaseUrl.startsWith('sqlite:') ? databaseUrl.slice(7) : 'Postgres'}, sessions are ${redis ? 'in Redis' : 'there too'}`,
  ]
  if (generated) lines.push(`Some secrets are not set. Development secrets are in ${generated.file}`)
  if (client) lines.push(`A client for your services: id ${client.id}, secret ${client.secret}`)
  if (client && signUp === 'open') {
    const introspect = `curl -u ${client.id}:${client.secret} ${base}/introspect -d token=$TOKEN`
    lines.push(
      '',
      'Try it in another terminal: sign up, sign in, and check the token:',
      '',
      `  curl ${base}/users -d username=ada -d 'password=correct horse battery staple'`,
      `  TOKEN=$(curl -s ${base}/login -d username=ada -d 'password=correct horse battery staple' | sed 's/.*"access_token":"\\([^"]*\\).*/\\1/')`,
      `  ${introspect}`,
      '',
      'Sign out, and check the token again:',
      '',
      `  curl -X POST ${base}/logout -H "Authorization: Bearer $TOKEN"`,
      `  ${introspect}`,
    )
  }
  return `${lines.join('\n')}\n\n`
}
