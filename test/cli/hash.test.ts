import { verify } from '@node-rs/argon2'
import { test } from 'tap'
import { environmentOf, latchkey, operatorEnvironment } from '../support/latchkey.js'

test('hash makes a PHC string from standard input, with the same normalization (NFC) as a sign-in', async (t) => {
  const decomposed = 'cafe\u0301 cafe\u0301 cafe\u0301'
  const ran = await latchkey(['hash'], {}, `${decomposed}\n`)
  t.match(ran, { code: 0, stderr: '', stdout: /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]+\$[\w+/]+\n$/ })
  t.equal(await verify(ran.stdout.trim(), decomposed.normalize('NFC')), true)
  t.equal(
    await verify(ran.stdout.trim(), `${decomposed.normalize('NFC')}\n`),
    false,
    'the line break is not part of the password',
  )
})

test('hash keeps spaces at the ends of the password; --json prints JSON', async (t) => {
  const { json } = await latchkey(['hash', '--json'], {}, ' a password with spaces ')
  t.equal(await verify(json.hash, ' a password with spaces '), true)
})

test('hash refuses an empty password and more than one line', async (t) => {
  t.match(await latchkey(['hash'], {}, '\n'), { code: 1, stdout: '', stderr: /^latchkey: the password is empty.*\n$/ })
  t.match(await latchkey(['hash'], {}, 'one\ntwo\n'), { code: 1, stdout: '', stderr: /^latchkey: .*one line.*\n$/ })
  t.match(await latchkey(['hash', 'pass phrase'], {}), {
    code: 2,
    stderr: /^latchkey: unexpected argument "pass phrase": .*\n$/,
  })
})

test('every command that reads a password refuses one that is not UTF-8', async (t) => {
  const env = operatorEnvironment(await environmentOf(t, 'sqlite'))
  const latin1 = Buffer.from('a latin-1 passwörd of some length', 'latin1')
  for (const args of [['hash'], ['users', 'create', 'ada'], ['users', 'reset-password', 'ada']]) {
    const ran = await latchkey(args, env, latin1)
    t.match(ran, { code: 1, stdout: '', stderr: /^latchkey: the password is not UTF-8: .*\n$/ }, args.join(' '))
  }
})
