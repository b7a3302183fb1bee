/** Formats that are refused by their names. Each is too fast to withstand guesses, or too rare. */
const REFUSED: readonly [form: RegExp, name: string][] = [
  [/^\{noop\}/i, 'a password in plain text ({noop} of Spring)'],
  [/^\{(md4|md5|sha-?1|sha-?256|sha256|ldap)\}/i, 'a fast digest of Spring ({MD5}, {SHA-1}, {sha256} and others)'],
  [/^\{(sha|ssha|sha256|ssha256|sha384|ssha384|sha512|ssha512|smd5|crypt)\}/i, 'a hash of LDAP ({SSHA} and others)'],
  [/^\*?[0-9a-f]{32}$/i, 'MD5 in hexadecimal digits'],
  [/^\*?[0-9a-f]{40}$/i, 'SHA-1 in hexadecimal digits'],
  [/^[0-9a-f]{64}$/i, 'SHA-256 in hexadecimal digits'],
  [/^[0-9a-f]{128}$/i, 'SHA-512 in hexadecimal digits'],
  [/^(unsalted_)?(md5|sha1|sha224|sha256|sha384|sha512|crypt|plain)\$/, 'a fast digest of Django or Werkzeug'],
  [/^pbkdf2:md5|^\$pbkdf2-md5/, 'PBKDF2 with MD5'],
  [/^\$1\$/, 'MD5 crypt'],
  [/^\$apr1\$/, 'the MD5 crypt of Apache'],
  [/^\$5\$/, 'SHA-256 crypt'],
  [/^\$6\$/, 'SHA-512 crypt'],
  [/^\$7\$/, 'the scrypt of libxcrypt'],
  [/^\$g?y\$/, 'yescrypt'],
  [/^(U)?\$S\$/, 'the SHA-512 of Drupal 7'],
  [/^\$2x\$/, 'the faulty bcrypt 2x'],
  [/^\$bcrypt-sha256\$/, 'the bcrypt-sha256 of passlib'],
  [/^\$firebase-scrypt\$/, 'the scrypt of Firebase in the spelling of WorkOS: write it as $fbscrypt$'],
  [/^SCRAM-/, 'SCRAM'],
]

/** Why a text that no format matches is refused. */
export function refuseFormat(text: string): string {
  const name = REFUSED.find(([form]) => form.test(text))?.[1]
  if (!name) return 'the format of the hash is unknown: docs/accounts.md lists the formats'
  return `the hash is ${name}, which is not accepted: have the person reset the password`
}
