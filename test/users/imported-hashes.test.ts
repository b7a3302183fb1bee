import { type Algorithm, hash } from '@node-rs/argon2'
import { test } from 'tap'
import { withAccounts } from '../support/accounts.js'
import { adminClient } from '../support/admin-client.js'
import { anyStore, type Environment, PASSWORD, startService } from '../support/service.js'

const storedHash = (env: Environment, id: string): Promise<string> =>
  withAccounts(env, async (_users, { db }) => {
    const row = await db.selectFrom('users').select('password_hash').where('id', '=', id).executeTakeFirstOrThrow()
    return row.password_hash
  })

const storeHash = (env: Environment, id: string, passwordHash: string) =>
  withAccounts(env, (users) => users.setPasswordHash(id, passwordHash))

/** From other implementations: Python's hashlib, libxcrypt, and the tests of argon2's reference implementation. */
const HASHES: [what: string, passwordHash: string, password: string][] = [
  ['argon2i', '$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA', 'password'],
  [
    'argon2i, two lanes',
    '$argon2i$v=19$m=256,t=2,p=2$c29tZXNhbHQ$T/XOJ2mh1/TIpJHfCdQan76Q5esCFVoT5MAeIM1Oq2E',
    'password',
  ],
  ['argon2i 1.0', '$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ', 'password'],
  ['argon2id', '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc', 'password'],
  [
    'argon2 of Django',
    'argon2$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA',
    'password',
  ],
  ['bcrypt 2a', '$2a$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG', PASSWORD],
  ['bcrypt 2b', '$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG', PASSWORD],
  ['bcrypt 2y', '$2y$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG', PASSWORD],
  ['bcrypt of Django', 'bcrypt$$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG', PASSWORD],
  ['bcrypt_sha256 of Django', 'bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuuaBT8mpw5tGdD3eO40znWcQP/dT9hEVK', PASSWORD],
  ['bcrypt, cut at 72', '$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i', 'x'.repeat(80)],
  ['scrypt', '$scrypt$ln=10,r=8,p=1$8PHy8/T19vf4+fr7/P3+/w$n5y9hrV80jPF5eBETbfKUkiKZk3DXkL+xiNruiraf+U', PASSWORD],
  [
    'scrypt of Django',
    'scrypt$1024$NaClNaCl$8$5$JTTZjrNxqJqtLnnluM1BcFi346r4ol9P2NHy1i8tAwj8ckNacIjL5z7Fe3w3ymXf+voEyE10kKzYzpw7CA28BA==',
    PASSWORD,
  ],
  ['PBKDF2-SHA1 of passlib', '$pbkdf2$1000$8PHy8/T19vf4.fr7/P3./w$b1ALU8iwgU5.fFcj2U3.nlZfu20', PASSWORD],
  [
    'PBKDF2-SHA256 of passlib',
    '$pbkdf2-sha256$1000$8PHy8/T19vf4.fr7/P3./w$0A35jjZ8X.jm/Nj9sc4uzmU/RqA2wljSyf5enbVFSOY',
    PASSWORD,
  ],
  [
    'PBKDF2-SHA512 as PHC',
    '$pbkdf2-sha512$i=1000,l=64$8PHy8/T19vf4+fr7/P3+/w$7Ny4dUakS7JIZAfjYpLQGSZsWvUihs7A6xXDgyqRrc3BkpXb3nL1/MvPpT3VxDAwU6FzpGn1KkCfA3fC7/680Q',
    PASSWORD,
  ],
  ['PBKDF2-SHA1 of Django', 'pbkdf2_sha1$1000$NaClNaClNaClNaCl$6Le1JTqOu9IGPAzg4AFKflbhLOU=', PASSWORD],
  [
    'PBKDF2-SHA256 of Django',
    'pbkdf2_sha256$1000$NaClNaClNaClNaCl$TaeRLo3w36B7EvYa79wxTmRpHIHNj5LwGftRAMStsq8=',
    PASSWORD,
  ],
  [
    'PBKDF2-SHA256 of Keycloak, of 64 bytes',
    '$pbkdf2-sha256$i=1000,l=64$8PHy8/T19vf4+fr7/P3+/w==$0A35jjZ8X+jm/Nj9sc4uzmU/RqA2wljSyf5enbVFSOYYHR4eQEaEUCSKf3VMyBj3L/xxB7lODSxAc/RF42I6ag==',
    PASSWORD,
  ],
]

const SALT = '8PHy8/T19vf4+fr7/P3+/w'
const OUTPUT = 'n5y9hrV80jPF5eBETbfKUkiKZk3DXkL+xiNruiraf+U'
const CRYPT = 'abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG'

/** Hashes that would take minutes to years, or all of the memory, or that match any password. */
const HOSTILE: [what: string, passwordHash: string][] = [
  ['bcrypt of cost 31', `$2b$31$${CRYPT}`],
  ['bcrypt of cost 15', `$2b$15$${CRYPT}`],
  ['bcrypt of cost 3', `$2b$03$${CRYPT}`],
  ['bcrypt 2x, which is another one', `$2x$04$${CRYPT}`],
  ['argon2id of 10 GB', `$argon2id$v=19$m=9999999,t=1,p=1$${SALT}$${OUTPUT}`],
  ['argon2id of 10 million passes', `$argon2id$v=19$m=64,t=9999999,p=1$${SALT}$${OUTPUT}`],
  ['argon2id of 255 lanes', `$argon2id$v=19$m=65536,t=1,p=255$${SALT}$${OUTPUT}`],
  ['argon2id with less memory than lanes', `$argon2id$v=19$m=8,t=1,p=4$${SALT}$${OUTPUT}`],
  ['argon2id with a salt of 7 bytes', `$argon2id$v=19$m=64,t=1,p=1$c29tc2FsdA$${OUTPUT}`],
  ['argon2id with a short output', `$argon2id$v=19$m=64,t=1,p=1$${SALT}$AAAAAAA`],
  ['argon2id of version 99', `$argon2id$v=99$m=64,t=1,p=1$${SALT}$${OUTPUT}`],
  ['argon2id with leading zeros', `$argon2id$v=19$m=064,t=1,p=1$${SALT}$${OUTPUT}`],
  ['scrypt of 1 TB', `$scrypt$ln=30,r=8,p=1$${SALT}$${OUTPUT}`],
  ['scrypt of 999 lanes', `$scrypt$ln=14,r=8,p=999$${SALT}$${OUTPUT}`],
  ['scrypt of blocks of 999', `$scrypt$ln=14,r=999,p=1$${SALT}$${OUTPUT}`],
  ['scrypt of N = 1', `scrypt$1$NaCl$8$1$${OUTPUT}`],
  ['scrypt of N = 1000', `scrypt$1000$NaCl$8$1$${OUTPUT}`],
  ['PBKDF2 of 99,999,999 rounds', `$pbkdf2-sha256$99999999$${SALT}$${OUTPUT}`],
  ['PBKDF2 of no round', `$pbkdf2-sha256$0$${SALT}$${OUTPUT}`],
  ['PBKDF2 with no output', `$pbkdf2-sha256$1000$${SALT}$`],
  ['PBKDF2 with an output of one byte', `$pbkdf2-sha256$1000$${SALT}$AA`],
  ['PBKDF2 with an output of 96 bytes', `$pbkdf2-sha256$1000$${SALT}$${'A'.repeat(128)}`],
  ['PBKDF2 with an output that is not Base64', `$pbkdf2-sha256$1000$${SALT}$${'*'.repeat(43)}`],
  ['PBKDF2-MD5', `$pbkdf2-md5$1000$${SALT}$${OUTPUT}`],
  ['MD5', '5f4dcc3b5aa765d61d8327deb882cf99'],
  ['SHA-512 crypt', `$6$rounds=5000$usesomesillystri$${'D'.repeat(86)}`],
  ['the password itself', PASSWORD],
  ['nothing', '*'],
  ['something long', `$argon2id$v=19$m=64,t=1,p=1$${'A'.repeat(400)}$${OUTPUT}`],
]

// The store keeps any text, so the check of a hash does not depend on the store.
for (const store of anyStore) {
  test(`${store}: hashes of other systems work, and the first sign-in replaces them`, async (t) => {
    const { api, env } = await startService(t, store, { HASH_COST: 'full' })
    const admin = adminClient(api)
    const all = [...HASHES]
    for (const algorithm of [
      0 satisfies Algorithm.Argon2d,
      1 satisfies Algorithm.Argon2i,
      2 satisfies Algorithm.Argon2id,
    ]) {
      const parameters = { algorithm, memoryCost: 1024, timeCost: 1, parallelism: 4 } as object
      all.push([`argon2 ${algorithm}, four lanes`, await hash(PASSWORD, parameters), PASSWORD])
    }
    for (const [index, [what, passwordHash, password]] of all.entries()) {
      const username = `user${index}`
      const made = await admin('POST', '/users', { json: { username, password_hash: passwordHash } })
      t.equal(made.status, 201, what)
      const { id } = made.body

      t.equal((await api.login(username, 'not the password')).status, 401, what)
      t.equal(await storedHash(env, id), passwordHash, 'a wrong password changes nothing')
      t.equal((await api.login(username, password)).status, 200, what)

      const replaced = await storedHash(env, id)
      // New hashes have 19 MiB and 2 passes. An equally strong hash stays.
      if (/^\$argon2id\$v=19\$m=65536,t=2/.test(passwordHash)) t.equal(replaced, passwordHash, what)
      else t.match(replaced, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/, what)
      t.equal((await api.login(username, password)).status, 200, `${what}, again`)
      t.equal((await api.login(username, 'not the password')).status, 401, what)
    }
  })
}

test('every entrance refuses a hash that costs too much to check, or that too many passwords match', async (t) => {
  const { api, env, log } = await startService(t, 'sqlite', { HASH_COST: 'full' })
  const admin = adminClient(api)
  for (const [index, [what, passwordHash]] of HOSTILE.entries()) {
    // Each hash has its own account, because guesses at one account would soon have to wait.
    const username = `user${index}`
    const json = { username, password_hash: `$2b$04$${CRYPT}` }
    const { id } = (await admin('POST', '/users', { json })).body
    const answers = [
      await admin('POST', '/users', { json: { username: `other${index}`, password_hash: passwordHash } }),
      await admin('POST', `/users/${id}/password`, { json: { password_hash: passwordHash } }),
    ]
    for (const { status, text } of answers) {
      t.equal(status, 400, `${what}: ${text}`)
      t.notOk(text.includes(passwordHash) && passwordHash.length > 1, 'and the answer does not repeat it')
    }
    // A hash that somebody wrote into the database is not computed either.
    await storeHash(env, id, passwordHash)
    for (const password of [' ', PASSWORD, 'password']) {
      t.equal((await api.login(username, password)).status, 401, what)
    }
  }
  t.strictSame(
    log.filter(({ level }) => (level as number) >= 50),
    [],
    'no fault was logged',
  )
})

test('L7: a password that another system hashed as typed works in any composition', async (t) => {
  const { api } = await startService(t, 'sqlite', { HASH_COST: 'full' })
  const admin = adminClient(api)
  const decomposed = 'cafe\u0301 au lait, s\u0327il te plai\u0302t'
  const passwordHash = '$2b$04$abcdefghijklmnopqrstuu0kNeK4TmWR8JSFHjMDd3QwYhdCZZFwG'
  for (const spelling of ['first', 'second']) {
    const username = `ada-${spelling}`
    await admin('POST', '/users', { json: { username, password_hash: passwordHash } })
    t.equal((await api.login(username, decomposed)).status, 200)
    t.equal((await api.login(username, decomposed.normalize('NFC'))).status, 200, 'once it is ours')
  }
})

test('checks of imported hashes wait in the queue too, and a busy queue refuses no right password', async (t) => {
  const { api, env } = await startService(t, 'sqlite', { HASH_COST: 'full', HASH_CONCURRENCY: '1', HASH_QUEUE: '3' })
  const admin = adminClient(api)
  // About 60 ms of a core.
  const slow = '$2b$10$abcdefghijklmnopqrstuuJLbSVCXVWyvQnlTf1fY7CYxMSBFkHSa'
  const { id } = (await admin('POST', '/users', { json: { username: 'ada', password_hash: slow } })).body

  const storm = await Promise.all(Array.from({ length: 30 }, () => api.login('ada', 'wrong')))
  const refused = storm.filter(({ status }) => status === 503)
  t.ok(refused.length > 0, 'past the queue 503')
  t.ok(storm.every(({ status }) => status === 503 || status === 401 || status === 429))

  const fast = HASHES.find(([what]) => what === 'bcrypt 2b')?.[1] as string
  await storeHash(env, id, fast)
  const { id: eve } = (await admin('POST', '/users', { json: { username: 'eve', password_hash: fast } })).body
  const signIns = await Promise.all(Array.from({ length: 12 }, () => api.login('eve', PASSWORD)))
  t.ok(signIns.some(({ status }) => status === 200))
  t.ok(signIns.every(({ status }) => status === 200 || status === 503))
  t.equal((await api.login('eve', PASSWORD)).status, 200)
  t.match(await storedHash(env, eve), /^\$argon2id\$/)
})
