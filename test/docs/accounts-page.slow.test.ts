import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { readPage } from '../pages.js'
import { latchkey, operatorEnvironment } from '../support/latchkey.js'
import { PASSWORD, startService, temporaryFolder } from '../support/service.js'

const page = readPage('docs/accounts.md')

/** The command of the page that reads this file. */
function commandFor(file: string): string {
  const commands = [...page.matchAll(/```sh\n(jq [\s\S]*?)```/g)].map(([, command = '']) => command)
  return commands.find((command) => command.includes(file)) ?? ''
}

const EXPORTS: [
  file: string,
  content: string,
  name: string,
  id: string,
  password: string,
  change?: [string, string],
][] = [
  [
    'realm.json',
    JSON.stringify({
      realm: 'demo',
      users: [
        { id: 'c1', username: 'service-account-x', enabled: true },
        {
          id: '4142fff7-35d4-4467-8434-346fbac50374',
          username: 'user1',
          enabled: true,
          credentials: [
            { type: 'otp', secretData: '{}', credentialData: '{}' },
            {
              type: 'password',
              secretData:
                '{"value":"JsfNbCOIdZUbyBJ+BT+VoGI91Ec2rWLOvkLPDaX8e9k=","salt":"P5rtFkGtPfoaryJ6PizUJw==","additionalParameters":{}}',
              credentialData: '{"hashIterations":27500,"algorithm":"pbkdf2-sha256","additionalParameters":{}}',
            },
          ],
        },
      ],
    }),
    'user1',
    '4142fff7-35d4-4467-8434-346fbac50374',
    'password',
  ],
  [
    'auth0.ndjson',
    JSON.stringify({
      _id: { $oid: '60425dc43519d90068f82973' },
      email_verified: false,
      email: 'test2@example.com',
      passwordHash: '$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG',
      tenant: 'demo',
      connection: 'Username-Password-Authentication',
    }),
    'test2@example.com',
    'auth0|60425dc43519d90068f82973',
    PASSWORD,
  ],
  [
    'firebase.json',
    JSON.stringify({
      users: [
        {
          localId: 'wUHqVk3x',
          email: 'user1@example.com',
          passwordHash: 'lSrfV15cpx95_sZS2W9c9Kp6i_LVgQNDNC_qzrCnh1SAyZvqmZqAjTdn3aoItz-VHjoZilo78198JAdRuid5lQ==',
          salt: '42xEC-ixf3L2lw==',
        },
        { localId: 'google-only', email: 'user2@example.com', providerUserInfo: [] },
      ],
    }),
    'user1@example.com',
    'wUHqVk3x',
    'user1password',
    ['SIGNERKEY', 'jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=='],
  ],
]

test('the commands of docs/accounts.md turn the exports of other systems into lines that import and sign in', async (t) => {
  const { api, env } = await startService(t, 'sqlite')
  for (const [file, content, name, id, password, [from, to] = ['', '']] of EXPORTS) {
    const folder = temporaryFolder(t)
    writeFileSync(join(folder, file), content)
    const command = commandFor(file).replace(from, to)
    const { stdout, stderr, status } = spawnSync('/bin/sh', ['-c', command], { cwd: folder, encoding: 'utf8' })
    t.equal(status, 0, `${file}: ${stderr}`)
    const ran = await latchkey(['users', 'import', '-', '--json'], operatorEnvironment(env), stdout)
    t.match(ran, { code: 0, json: { lines: 1, imported: 1 } }, `${file}: ${ran.stderr}`)
    const { access_token } = await api.tokens(name, password)
    t.match((await api.introspect(access_token)).body, { sub: id, username: name })
  }
})
