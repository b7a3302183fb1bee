import type { Config } from './config/config.js'

/** What a newcomer needs next: where it runs, and three calls to paste. Not for production. */
export function startupBanner({ docs, generated, signUp, databaseUrl, redis }: Config, address: string): string {
  const base = address.replace('[::1]', 'localhost').replace('127.0.0.1', 'localhost')
  const client = generated?.client
  const lines = [
    '',
    `Latchkey runs at ${base}${docs ? `, and its API page is ${base}/docs` : ''}`,
    `Accounts live in ${databaseUrl.startsWith('sqlite:') ? databaseUrl.slice(7) : 'Postgres'}, sessions ${redis ? 'in Redis' : 'too'}`,
  ]
  if (generated) lines.push(`Secrets were not set: made for development, and kept in ${generated.file}`)
  if (client) lines.push(`A client for your services: id ${client.id}, secret ${client.secret}`)
  if (client && signUp === 'open') {
    const introspect = `curl -u ${client.id}:${client.secret} ${base}/introspect -d token=$TOKEN`
    lines.push(
      '',
      'Try it, in another terminal: sign up, sign in, and ask whether the token is live:',
      '',
      `  curl ${base}/users -d username=ada -d 'password=correct horse battery staple'`,
      `  TOKEN=$(curl -s ${base}/login -d username=ada -d 'password=correct horse battery staple' | sed 's/.*"access_token":"\\([^"]*\\).*/\\1/')`,
      `  ${introspect}`,
      '',
      'Sign out, and ask again:',
      '',
      `  curl -X POST ${base}/logout -H "Authorization: Bearer $TOKEN"`,
      `  ${introspect}`,
    )
  }
  return `${lines.join('\n')}\n\n`
}
