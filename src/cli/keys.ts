import { readSharedSecrets } from '../config/read.js'
import { deriveAudienceKey } from '../tokens/audience-keys.js'
import {
  type Algorithm,
  addKey,
  algorithms,
  formatKeySet,
  generateKey,
  promoteKey,
  readKeyFile,
  removeKey,
} from '../tokens/key-file.js'
import type { SigningKey } from '../tokens/key-ring.js'
import { CommandError, command, group, type Output, table } from './command.js'

const file = { type: 'string', value: 'FILE', about: 'the key file; default: JWT_KEYS_FILE' } as const

const generate = command({
  about: 'Generate a key that signs access tokens',
  details: `
Without --into the command prints a private JWK Set, for a secret store or a new file. Keep it secret.

With --into it adds the key to FILE, and the service reads FILE within a second. The first key of a file signs, and all keys
verify. The new key is the second: every replica and every verifier learns it before it signs.

1. Wait until the file has reached each replica and JWKS caches of 5 minutes have expired.
2. Make the new key the first:  latchkey keys promote KID
3. Wait until the tokens of the old key have expired (ACCESS_TTL).
4. Remove the old key:  latchkey keys remove KID

--sign-now makes the new key the first at once. Use it for a first key, for a single instance, or after a key has leaked; then
also remove the old key. Replicas and verifiers refuse tokens of the new key until they know it.`,
  options: {
    alg: { type: 'string', value: 'ALG', about: `${algorithms.join(', ')}; default ES256` },
    into: {
      type: 'string',
      value: 'FILE',
      about: 'add the key to this file; a missing file is created with mode 0600',
    },
    'sign-now': { type: 'boolean', about: 'with --into: make it the first key, which signs from now on' },
  },
  async run({ options }) {
    const key = generateKey(parseAlgorithm(options.alg ?? 'ES256'))
    const { kid, alg } = key
    if (options.into === undefined) {
      if (options['sign-now']) throw new CommandError('--sign-now needs a key file: name it with --into')
      return { text: formatKeySet([key]).trimEnd(), json: { keys: [key] } }
    }
    addKey(options.into, key, options['sign-now'] ? 'first' : 'second')
    const signs = readKeyFile(options.into)[0]?.kid === kid
    return {
      text: `${alg} key ${kid} ${signs ? 'signs from now on' : 'verifies from now on; latchkey keys promote makes it sign'}`,
      json: { kid, alg, signs },
    }
  },
})

const list = command({
  about: 'List the keys of a file, without the keys themselves',
  options: { file },
  async run({ options }) {
    return describeKeys(readKeyFile(keyFilePath(options.file)))
  },
})

const promote = command({
  about: 'Make a key of a file the one that signs',
  details: 'Use it when every replica and every verifier knows the key. The key that signed before still verifies.',
  names: ['KID'],
  options: { file },
  async run({ names: [kid], options }) {
    const path = keyFilePath(options.file)
    promoteKey(path, kid)
    return describeKeys(readKeyFile(path))
  },
})

const remove = command({
  about: 'Remove a key from a file, which ends every token that it signed',
  details: 'Unless the key has leaked, wait for ACCESS_TTL after its last signature.',
  names: ['KID'],
  options: { file },
  async run({ names: [kid], options }) {
    const path = keyFilePath(options.file)
    removeKey(path, kid)
    return describeKeys(readKeyFile(path))
  },
})

const exportPublic = command({
  about: 'Print the public keys, for verifiers that do not read the JWKS',
  details:
    'The format is a JWK Set, or with --pem PEM (SPKI). A shared secret (HS256) has no public key, so it is omitted.',
  options: {
    file,
    pem: { type: 'boolean', about: 'print PEM' },
    kid: { type: 'string', value: 'KID', about: 'print only this key' },
  },
  async run({ options: { pem, kid, ...options } }) {
    const keys = readKeyFile(keyFilePath(options.file)).filter((key) => kid === undefined || key.kid === kid)
    if (keys.length === 0) throw new CommandError(`the file has no key ${kid}`)
    const exported = keys.flatMap(toPublic)
    if (exported.length === 0)
      throw new CommandError('there is no public key to print: a shared secret (HS256) has none')
    if (!pem) {
      const json = { keys: exported.map(({ jwk }) => jwk) }
      return { text: JSON.stringify(json, null, 2), json }
    }
    return {
      text: exported.map((key) => key.pem.trimEnd()).join('\n'),
      json: { keys: exported.map((key) => ({ kid: key.kid, alg: key.alg, pem: key.pem })) },
    }
  },
})

const secret = command({
  about: 'Print the secret of one audience, for the service that verifies its tokens',
  details: `
With JWT_SECRET_MODE=audience the service signs the tokens of each audience with another key. Give a service this secret in the
place of JWT_SECRET. It can then sign tokens for its own audience only.

The secret is a key of 32 bytes in base64url. It is derived from JWT_SECRET, or from the HS256 keys of a key file. With several
secrets the command prints one line for each, in the same order: the first signs, and all verify.`,
  options: {
    audience: { type: 'string', value: 'AUDIENCE', about: 'the audience of the service; required' },
    file,
  },
  async run({ options }) {
    const { audience } = options
    if (!audience) throw new CommandError('the audience is missing: name it with --audience')
    const { secrets, audiences } = readSharedSecrets(process.env)
    // A misspelt audience would give a secret that verifies nothing.
    if (audiences && !audiences.includes(audience)) throw new CommandError(`AUDIENCE does not list ${audience}`)
    const path = options.file ?? process.env.JWT_KEYS_FILE
    const shared = path ? readKeyFile(path).flatMap(({ alg, key }) => (alg === 'HS256' ? [key] : [])) : secrets
    if (shared.length === 0) {
      throw new CommandError(
        'there is no shared secret: set JWT_SECRET, or name a key file with an HS256 key by --file',
      )
    }
    const derived = shared.map((each) => deriveAudienceKey(each, audience))
    const printed = derived.map(({ kid, key }) => ({ kid, secret: Buffer.from(key).toString('base64url') }))
    return { text: printed.map((each) => each.secret).join('\n'), json: { audience, keys: printed } }
  },
})

function toPublic({ kid, alg, verification, publicJwk }: SigningKey) {
  return verification.alg === 'HS256' ? [] : [{ kid, alg, pem: verification.publicKey, jwk: publicJwk }]
}

function parseAlgorithm(text: string): Algorithm {
  const alg = algorithms.find((each) => each === text)
  if (!alg) throw new CommandError(`--alg must be one of ${algorithms.join(', ')}`)
  return alg
}

function keyFilePath(option: string | undefined): string {
  const path = option ?? process.env.JWT_KEYS_FILE
  if (!path) throw new CommandError('the key file is missing: name it with --file, or set JWT_KEYS_FILE')
  return path
}

function describeKeys(keys: readonly SigningKey[]): Output {
  const rows = keys.map(({ kid, alg }, index) => ({ kid, alg, signs: index === 0 }))
  return {
    text: table(
      rows.map(({ kid, alg, signs }) => ({ kid, alg, use: signs ? 'signs' : 'verifies' })),
      '',
    ),
    json: { keys: rows },
  }
}

export const keys = group('Manage the file of the keys that sign access tokens', {
  generate,
  list,
  promote,
  remove,
  secret,
  export: exportPublic,
})
