import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { withAccounts } from '../support/accounts.js'
import { adminClient } from '../support/admin-client.js'
import { latchkey, operatorEnvironment } from '../support/latchkey.js'
import { anyStore, type Environment, PASSWORD, startService, temporaryFolder } from '../support/service.js'

type Row = [what: string, passwordHash: string | object, password: string]

/** The reference documentation of Spring Security, "Password Storage Format"; the last one is of spring-security-crypto 6.4.4. */
const SPRING: Row[] = [
  ['{bcrypt}', '{bcrypt}$2a$10$dXJ3SW6G7P50lGmMkkmwe.20cQQubK3.HZWzG3YB1tlRy.fqvM/BG', 'password'],
  ['{pbkdf2}', '{pbkdf2}5d923b44a6d129f3ddf3e3c8d29412723dcbde72445e8ef6bf3b508fbf17fa4ed4d6b99ca763d8dc', 'password'],
  [
    '{scrypt}',
    '{scrypt}$e0801$8bWJaSu2IKSn9Z9kM+TPXfOc/9bdYSrN1oD9qfVThWEwdRTnO7re7Ei+fUZRJ68k9lTyuTeUp4of4g24hHnazw==$OAOec05+bXxvuu/1qZ6NUR+xQYvYv7BeL1QxwRpY5Pc=',
    'password',
  ],
  [
    '{pbkdf2@SpringSecurity_v5_8}',
    '{pbkdf2@SpringSecurity_v5_8}beccbc5a992abfdbe1204d108a798498144110429e43b1603480da558ae0cb919b18ea38944038e582a93d599a6fc86b',
    'pässword',
  ],
  // The hash of PHP below, with the id that Spring writes.
  [
    '{argon2@SpringSecurity_v5_8}',
    '{argon2@SpringSecurity_v5_8}$argon2id$v=19$m=65536,t=4,p=1$bmhWd1VnelhxQ1hubWQ0WA$Ncybker5do9RBsz51o50io41S5a96t1HxnKiTKZKyW4',
    PASSWORD,
  ],
]

/** PHP 8.2.36: `password_hash`, as Laravel and WordPress call it. `$P$` and `$H$`: passlib 1.7.4, `phpass`. */
const PHP: Row[] = [
  // '$wp'.password_hash(base64_encode(hash_hmac('sha384', $password, 'wp-sha384', true)), PASSWORD_BCRYPT)
  ['WordPress 6.8', '$wp$2y$04$AriBsUxx33RwO.nHvrnu1.KM5aUyDIIVZZUiLScV9KawQsRxmo8D6', PASSWORD],
  ['WordPress before 6.8', '$P$BbFOJxst4atIG6Rxi1Qj1kfFowHRpE/', PASSWORD],
  ['phpBB', '$H$9KUpNd96VdUyIno5NUtNCA2CmUb5XT1', PASSWORD],
  ['Laravel', '$2y$04$4haTy6YRaMkSZwHx7agvZ.PPhQsWsEtgbP.tPe27W3b1u/Y2QCJSq', PASSWORD],
  [
    'Laravel with argon2id',
    '$argon2id$v=19$m=65536,t=4,p=1$bmhWd1VnelhxQ1hubWQ0WA$Ncybker5do9RBsz51o50io41S5a96t1HxnKiTKZKyW4',
    PASSWORD,
  ],
]

/** `encode(password, salt)` of the hashers of Django 5.2.17 and 3.2.25; `generate_password_hash` of Werkzeug 3.1.9 and 2.2.2. */
const PYTHON: Row[] = [
  [
    'Django 5.2, PBKDF2',
    'pbkdf2_sha256$1000000$4wQc7NfNb0nNmKilArb8iz$mEdkpoLmmDmdQyWMVL6iTGempqHr4efZP+I+mkhHUSk=',
    PASSWORD,
  ],
  ['Django 3.2, PBKDF2-SHA1', 'pbkdf2_sha1$260000$bjrdOJDn3to96FoXi2cmGO$tdqK7J3vTITdFYOXgJWXfikXUyA=', PASSWORD],
  [
    'Django 5.2, scrypt',
    'scrypt$16384$Hco8G26h2nkD3EGfvlEszN$8$5$HZ0DG/FY4NNQs8yLdFjDpAQvipv9GWIh+MUo1IQ4SJnPdJ5yMgJ0bAITUE2EhukuUZ1e3QU6AmNQW0PRyPI4Aw==',
    PASSWORD,
  ],
  [
    'Django 5.2, argon2',
    'argon2$argon2id$v=19$m=102400,t=2,p=8$OThQbkp6SkowMmtyTktKVjI5d3ZZSQ$ThB12ikpABf+9jU8r1rvYLE0t32YwiDKkTooMScR7YM',
    PASSWORD,
  ],
  ['Django 3.2, bcrypt_sha256', 'bcrypt_sha256$$2b$04$zOjVxc4GWNeki0v9vyA50Olokbh5dOcZeyX9kA.TJd7wIyuU11oRe', PASSWORD],
  ['Django 3.2, bcrypt', 'bcrypt$$2b$04$Gmz.Ebt4qaPLxij6oj38COrxKKgJcF6dTsRAkbHYHUynYd2.MkMgS', PASSWORD],
  [
    'Werkzeug 3.1, scrypt',
    'scrypt:32768:8:1$N7RgNzu2QQ6E3M2u$218d7651681b30160e6e347313828c2477374db6fce76a4091d2eb6e0861678651efcbab30d672c7a906381e4dfa75abb05cb4274c41370a5378d836c3a5e2e0',
    PASSWORD,
  ],
  [
    'Werkzeug 3.1, PBKDF2',
    'pbkdf2:sha256:1000000$ftZmx07xNYBFoiwe$4870ad9a903b09fa4274045ad1c278d5c48352a43a40134c8bb304568113c870',
    PASSWORD,
  ],
  [
    'Werkzeug 2.2, PBKDF2-SHA512',
    'pbkdf2:sha512:1000$DqZVrj6CrupghbUo$35d688274a910b8371e84cc8270caaa6df414db0f7285e147ad83c65588a92278d9e09e98d6d5bf8f55d904e66a06906c231b576de89793cbf80bc9540fed888',
    PASSWORD,
  ],
  ['Werkzeug 2.2, PBKDF2-SHA1', 'pbkdf2:sha1:1000$Ry5pjvW1y1vCZBPg$a523463ffadb613054ef275f97227348f063a54b', PASSWORD],
]

/** The tests of ASP.NET Core Identity's `PasswordHasher`. */
const ASP_NET: Row[] = [
  ['V2', 'AAABAgMEBQYHCAkKCwwNDg+ukCEMDf0yyQ29NYubggHIVY0sdEUfdyeM+E1LtH1uJg==', 'my password'],
  ['V3, SHA-1', 'AQAAAAAAAAD6AAAAEAhftMyfTJylOlZT+eEotFXd1elee8ih5WsjXaR3PA9M', 'my password'],
  [
    'V3, SHA-256',
    'AQAAAAEAA9CQAAAAIESkQuj2Du8Y+kbc5lcN/W/3NiAZFEm11P27nrSN5/tId+bR1SwV8CO1Jd72r4C08OLvplNlCDc3oQZ8efcW+jQ=',
    'my password',
  ],
  [
    'V3, SHA-512',
    'AQAAAAIAAAD6AAAAIJbVi5wbMR+htSfFp8fTw8N8GOS/Sje+S/4YZcgBfU7EQuqv4OkVYmc4VJl9AGZzmRTxSkP7LtVi9IWyUxX8IAAfZ8v+ZfhjCcudtC1YERSqE1OEdXLW9VukPuJWBBjLuw==',
    'my password',
  ],
  [
    'V3 of .NET 7',
    'AQAAAAIAAYagAAAAEAABAgMEBQYHCAkKCwwNDg/Q8A0WMKbtHQJQ2DHCdoEeeFBrgNlldq6vH4qX/CGqGQ==',
    'my password',
  ],
]

/** The README of github.com/firebase/scrypt, and a test of GoTrue, whose spelling this is. */
const FIREBASE: Row[] = [
  [
    'Firebase',
    '$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==',
    'user1password',
  ],
  [
    'Firebase, in URL-safe Base64 as its export has it',
    '$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==$42xEC-ixf3L2lw==$lSrfV15cpx95_sZS2W9c9Kp6i_LVgQNDNC_qzrCnh1SAyZvqmZqAjTdn3aoItz-VHjoZilo78198JAdRuid5lQ==',
    'user1password',
  ],
  [
    'Firebase, GoTrue',
    '$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=ou9tdYTGyYm8kuR6Dt0Bp0kDuAYoXrK16mbZO4yGwAn3oLspjnN0/c41v8xZnO1n14J3MjKj1b2g6AUCAlFwMw==$C0sHCg9ek77hsg==$zKVTMvnWVw5BBOZNUdnsalx4c4c7y/w7IS5p6Ut2+CfEFFlz37J9huyQfov4iizN8dbjvEJlM5tQaJP84+hfTw==',
    'mytestpassword',
  ],
]

const keycloak = (data: object, salt: string, value: string) => ({
  type: 'password',
  createdDate: 1_740_654_903_754,
  secretData: JSON.stringify({ value, salt, additionalParameters: {} }),
  credentialData: JSON.stringify({ additionalParameters: {}, ...data }),
})

/** From realm exports of demonstrations that are public: Keycloak wrote each. */
const KEYCLOAK: Row[] = [
  [
    'pbkdf2-sha256 of 32 bytes',
    keycloak(
      { hashIterations: 27_500, algorithm: 'pbkdf2-sha256' },
      'P5rtFkGtPfoaryJ6PizUJw==',
      'JsfNbCOIdZUbyBJ+BT+VoGI91Ec2rWLOvkLPDaX8e9k=',
    ),
    'password',
  ],
  [
    'pbkdf2-sha256 of 64 bytes',
    keycloak(
      { hashIterations: 27_500, algorithm: 'pbkdf2-sha256' },
      'kAzT9d8gCl6l5DjQ+D8Vlw==',
      'UsKAhMJtom6iw6vtMcMmJYIUqafeauEd6gaBKpJXByIc7SkJxJACkNlKOAEFci6cnoxU9jUPLATLk+PMno143g==',
    ),
    'Password1',
  ],
  [
    'argon2',
    keycloak(
      {
        hashIterations: 5,
        algorithm: 'argon2',
        additionalParameters: {
          hashLength: ['32'],
          memory: ['7168'],
          type: ['id'],
          version: ['1.3'],
          parallelism: ['1'],
        },
      },
      'Cf9AYCE5pAbb4CKEF0GUTA==',
      'BruFLfFkjH/8erZ26NnrbkOrWiZuQyDRCHD9o0R6Scg=',
    ),
    'password',
  ],
]

const ALL: Record<string, Row[]> = { SPRING, PHP, PYTHON, ASP_NET, FIREBASE, KEYCLOAK }

/** Refused, and the word of the reason that names the format. */
const REFUSED: [passwordHash: string | object, reason: RegExp][] = [
  ['{noop}password', /plain text/],
  ['{sha256}97cde38028ad898ebc02e690819fa220e88c62e0699403e94fff291cfffaf8410849f27605abcbc0', /digest of Spring/],
  ['{MD5}{salt}5f4dcc3b5aa765d61d8327deb882cf99', /digest of Spring/],
  ['{bcrypt}no bcrypt', /does not have the form/],
  ['{scrypt}$ff0801$AAAA$AAAA', /costs too much|parameters/],
  ['{SSHA}0c0blFTXXNuAMHECS4uxrj3ZieMoWImr', /LDAP/],
  ['5f4dcc3b5aa765d61d8327deb882cf99', /MD5/],
  ['5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8', /SHA-1/],
  ['*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19', /SHA-1/],
  ['5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8', /SHA-256/],
  ['sha1$NaCl$5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8', /Django/],
  ['$1$NaCl$0123456789012345678901', /MD5 crypt/],
  [`$6$NaCl$${'D'.repeat(86)}`, /SHA-512 crypt/],
  ['$y$j9T$NaCl$0123456789012345678901234567890123456789012', /yescrypt/],
  ['$S$E0123456789012345678901234567890123456789012345678901', /Drupal 7/],
  ['$bcrypt-sha256$v=2,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2', /passlib/],
  ['$P$ZbFOJxst4atIG6Rxi1Qj1kfFowHRpE/', /costs too much/],
  ['$P$.bFOJxst4atIG6Rxi1Qj1kfFowHRpE/', /parameters/],
  [`scrypt:1073741824:8:1$NaCl$${'a'.repeat(128)}`, /unknown|costs too much/],
  [`scrypt:1048576:8:1$NaCl$${'a'.repeat(128)}`, /costs too much/],
  [`pbkdf2:sha256:99999999$NaCl$${'a'.repeat(64)}`, /costs too much/],
  // ASP.NET with 4,294,967,295 rounds, with a salt beyond the end, and with a digest that does not exist.
  [Buffer.from(`0100000001ffffffff00000010${'00'.repeat(48)}`, 'hex').toString('base64'), /costs too much/],
  [Buffer.from(`010000000100002710ffffffff${'00'.repeat(48)}`, 'hex').toString('base64'), /cannot be read/],
  [Buffer.from(`01000000090000271000000010${'00'.repeat(48)}`, 'hex').toString('base64'), /unknown/],
  ['$fbscrypt$v=1,n=30,r=8,p=1,ss=Bw==,sk=AAAAAAAAAAAAAAAAAAAAAA==$AAAA$AAAAAAAAAAAAAAAAAAAAAA==', /costs too much/],
  ['$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=AAAA$AAAA$AAAAAAAAAAAAAAAAAAAAAA==', /salt/],
  [
    keycloak({ hashIterations: 1e9, algorithm: 'pbkdf2-sha256' }, 'AAAA', 'AAAAAAAAAAAAAAAAAAAAAA=='),
    /too much|unknown/,
  ],
  [keycloak({ hashIterations: 5, algorithm: 'md5' }, 'AAAA', 'AAAA'), /credential of Keycloak/],
  [{ secretData: '{', credentialData: 7 }, /credential of Keycloak/],
]

const storedHash = (env: Environment, username: string): Promise<string> =>
  withAccounts(env, async (_users, { db }) => {
    const row = await db
      .selectFrom('users')
      .select('password_hash')
      .where('username', '=', username)
      .executeTakeFirstOrThrow()
    return row.password_hash
  })

// The store keeps any text, so the check of a hash does not depend on the store.
for (const store of anyStore) {
  test(`${store}: a real hash of each system is imported, opens the account, and becomes argon2id at the first sign-in`, async (t) => {
    const { api, env } = await startService(t, store)
    const rows = Object.entries(ALL).flatMap(([system, all]) =>
      all.map((row, i) => ({ username: `${system}${i}`, row })),
    )
    const file = join(temporaryFolder(t), 'users.ndjson')
    const line = ({ username, row }: (typeof rows)[number]) => JSON.stringify({ username, password_hash: row[1] })
    writeFileSync(file, rows.map((row) => `${line(row)}\n`).join(''))
    const ran = await latchkey(['users', 'import', file, '--json'], operatorEnvironment(env))
    t.match(ran, { code: 0, json: { imported: rows.length } }, ran.stderr)

    for (const { username, row } of rows) {
      const [what, , password] = row
      const before = await storedHash(env, username)
      t.equal((await api.login(username, `${password} `)).status, 401, `${username} ${what}: a wrong password`)
      t.equal((await api.login(username, password)).status, 200, `${username} ${what}`)
      const after = await storedHash(env, username)
      if (before.startsWith('$argon2id$v=19')) t.equal(after, before, `${what} is as strong as ours`)
      else t.match(after, /^\$argon2id\$v=19\$/, what)
      t.equal((await api.login(username, password)).status, 200, `${username} ${what}: again`)
    }
  })
}

test('a hash of another format is refused by a reason that names the format, and does not repeat the hash', async (t) => {
  const { api, env } = await startService(t, 'sqlite')
  const admin = adminClient(api)
  const file = join(temporaryFolder(t), 'users.ndjson')
  const line = ([passwordHash]: (typeof REFUSED)[number], i: number) =>
    JSON.stringify({ username: `user${i}`, password_hash: passwordHash })
  writeFileSync(file, REFUSED.map((row, i) => `${line(row, i)}\n`).join(''))
  const ran = await latchkey(['users', 'import', file, '--json'], operatorEnvironment(env))
  t.match(ran, { code: 1, json: { imported: 0, rejected: REFUSED.length } })
  const told = ran.stderr
    .trimEnd()
    .split('\n')
    .map((text) => JSON.parse(text).reason)
  for (const [i, [passwordHash, reason]] of REFUSED.entries()) {
    t.match(told[i], reason, JSON.stringify(passwordHash))
    if (typeof passwordHash !== 'string') continue
    t.notOk(told[i].includes(passwordHash))
    const json = { username: `user${i}`, password_hash: passwordHash }
    t.match(await admin('POST', '/users', { json }), { status: 400, body: { error_description: reason } })
  }
})

test('a line of the export of another system is refused by its name', async (t) => {
  const { env } = await startService(t, 'sqlite')
  const lines: [object, RegExp][] = [
    [{ username: 'ada', credentials: [] }, /export of Keycloak: docs\/accounts\.md/],
    [{ username: 'ada', localId: 'x', passwordHash: 'x', salt: 'x' }, /export of Firebase: docs\/accounts\.md/],
    [{ username: 'ada', _id: { $oid: 'x' }, passwordHash: '$2b$10$x' }, /export of Auth0: docs\/accounts\.md/],
  ]
  for (const [line, reason] of lines) {
    const ran = await latchkey(['users', 'import', '-'], operatorEnvironment(env), JSON.stringify(line))
    t.match(ran, { code: 1, stderr: reason })
  }
})
