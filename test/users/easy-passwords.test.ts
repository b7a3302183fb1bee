import { t as file, test } from 'tap'
import { adminClient } from '../support/admin-client.js'
import { latchkey, operatorEnvironment } from '../support/latchkey.js'
import { PASSWORD, type RunningService, startService } from '../support/service.js'

/** Each is 15 characters or longer. */
const EASY: [password: string, rule: RegExp][] = [
  ['123456789012345', /very common/],
  ['password123456789', /very common/],
  ['P@ssw0rd123456789', /very common/],
  ['qwerty123456qwerty', /very common/],
  ['latchkeylatchkey', /repeats itself/],
  ['Latchkey12345678', /very common/],
  ['administratoradmin', /very common/],
  ['1qaz2wsx3edc4rfv', /very common/],
  ['abcdefghijklmno', /a sequence such as abc/],
  ['ZYXWVUTSRQPONMLK', /a sequence such as abc/],
  ['987654321098765', /a sequence such as abc/],
  ['letmeinletmeinletmein', /repeats itself/],
  ['Summer2026Summer2026', /repeats itself/],
  ['xqkpvxqkpvxqkpv', /repeats itself/],
  ['a'.repeat(256), /repeats itself/],
  ['hgfdsasdfghjkl;lk', /a row of keys/],
  ['ada.lovelace2026', /the user name, or made of it/],
  ['LovelaceLovelace', /the user name, or made of it|repeats itself/],
  ['ada.lovelace@example.com', /the user name, or made of it/],
]

const HARD = [
  PASSWORD,
  'seven tame otters hum',
  'anvil gravel mosaic tundra',
  'ozonelimbrarityplank',
  'crème brûlée à la carte',
  'мой дядя самых честных',
  '吾輩は猫である。名前はまだ無い',
  'kxqwpvzjfmtnbch',
  'ada saw nine grey kestrels',
  'j4Lq-82bX-0pWm-Tz7k',
]

// One service for all tests. Each test has its own people.
let started: Promise<RunningService> | undefined
const shared = () => (started ??= startService(file, 'sqlite'))

test('L8: a long password that attackers try at once is 400 with the reason, wherever a password is set', async (t) => {
  const { api, env } = await shared()
  const admin = adminClient(api)
  const username = 'ada.lovelace@example.com'
  for (const [password, rule] of EASY) {
    const { status, body } = await api.signUp(username, password)
    t.match({ status, body }, { status: 400, body: { error: 'invalid_request', error_description: rule } }, password)
    t.match(body.error_description, /several words that have nothing to do with each other$/, 'and what to do instead')
    t.notMatch(body.error_description, password, 'and does not repeat it')
  }
  const made = await api.signUp(username, PASSWORD)
  t.equal(made.status, 201)
  const { id } = made.body
  const { access_token: bearer } = await api.tokens(username, PASSWORD)
  const [easy, rule] = EASY[0] as [string, RegExp]
  const answers = [
    await api.call('/users/me/password', { bearer, json: { current_password: PASSWORD, new_password: easy } }),
    await admin('POST', `/users/${id}/password`, { json: { password: easy } }),
    await admin('POST', '/users', { json: { username: 'eve', password: easy } }),
  ]
  for (const { status, body } of answers) t.match({ status, body }, { status: 400, body: { error_description: rule } })
  for (const args of [
    ['create', 'eve'],
    ['reset-password', id],
  ]) {
    t.match(await latchkey(['users', ...args], operatorEnvironment(env), easy), { code: 1, stderr: rule }, args[0])
  }
  t.equal((await api.login(username, PASSWORD)).status, 200, 'and nothing has changed')
})

test('L8: pass phrases and random passwords are taken', async (t) => {
  const { api } = await shared()
  for (const [i, password] of HARD.entries()) t.equal((await api.signUp(`ada${i}`, password)).status, 201, password)
})

test('L8: an account that was imported with an easy password signs in', async (t) => {
  const { api } = await shared()
  // Python's bcrypt 3.2.2, of "password".
  const passwordHash = '$2b$04$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm'
  await adminClient(api)('POST', '/users', { json: { username: 'ada', password_hash: passwordHash } })
  t.equal((await api.login('ada', 'password')).status, 200)
})
