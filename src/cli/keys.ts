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

const file = { type: 'string', value: 'FILE', about: 'the key file; JWT_KEYS_FILE if not given' } as const

const generate = command({
  about: 'Make a key that signs access tokens',
  details: `
Without --into it prints a private JWK Set, for a secret store or a new file. Keep it secret.

With --into it adds the key to FILE, which the service then reads within a second. The first key of a file signs, all of
them verify. The new key comes second: it verifies, so that every replica and every verifier gets to know it before it
signs. When they do (the file has reached each replica, and JWKS caches of 5 minutes have run out), make it the first:
latchkey keys promote KID. When the tokens of the old key have expired (ACCESS_TTL), remove that:
latchkey keys remove KID.

--sign-now puts it first at once: for a first key, for a service that is alone, or when the old key has leaked; then remove
the old one as well. Until they know the new key, others refuse its tokens.`,
  options: {
    alg: { type: 'string', value: 'ALG', about: `${algorithms.join(', ')}; ES256 if not given` },
    into: { type: 'string', value: 'FILE', about: 'add it to this key file; made with mode 0600 if missing' },
    'sign-now': { type: 'boolean', about: 'with --into: put it first, to sign from now on' },
  },
  async run({ options }) {
    const key = generateKey(algorithmOf(options.alg ?? 'ES256'))
    const { kid, alg } = key
    if (options.into === undefined) {
      if (options['sign-now']) throw new CommandError('--sign-now says where in a file: name it with --into')
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
  about: 'List the keys of a file: no key is shown',
  options: { file },
  async run({ options }) {
    return listed(readKeyFile(fileOf(options.file)))
  },
})

const promote = command({
  about: 'Make a key of a file the one that signs',
  details: 'Do so when every replica and every verifier knows it; the key that signed until now goes on to verify.',
  names: ['KID'],
  options: { file },
  async run({ names: [kid], options }) {
    const path = fileOf(options.file)
    promoteKey(path, kid)
    return listed(readKeyFile(path))
  },
})

const remove = command({
  about: 'Remove a key from a file: every token that it signed ends',
  details: 'Wait for ACCESS_TTL after it last signed, unless it has leaked.',
  names: ['KID'],
  options: { file },
  async run({ names: [kid], options }) {
    const path = fileOf(options.file)
    removeKey(path, kid)
    return listed(readKeyFile(path))
  },
})

const exportPublic = command({
  about: 'Print public keys, for verifiers that do not read the JWKS',
  details: 'As a JWK Set, or with --pem as PEM (SPKI). A shared secret (HS256) has no public key and is left out.',
  options: {
    file,
    pem: { type: 'boolean', about: 'as PEM' },
    kid: { type: 'string', value: 'KID', about: 'of this key alone' },
  },
  async run({ options: { pem, kid, ...options } }) {
    const keys = readKeyFile(fileOf(options.file)).filter((key) => kid === undefined || key.kid === kid)
    if (keys.length === 0) throw new CommandError(`the file has no key ${kid}`)
    const exported = keys.flatMap(toPublic)
    if (exported.length === 0) throw new CommandError('there is no public key: a shared secret (HS256) has none')
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

function toPublic({ kid, alg, verification, publicJwk }: SigningKey) {
  return verification.alg === 'HS256' ? [] : [{ kid, alg, pem: verification.publicKey, jwk: publicJwk }]
}

function algorithmOf(text: string): Algorithm {
  const alg = algorithms.find((each) => each === text)
  if (!alg) throw new CommandError(`--alg must be one of ${algorithms.join(', ')}`)
  return alg
}

function fileOf(option: string | undefined): string {
  const path = option ?? process.env.JWT_KEYS_FILE
  if (!path) throw new CommandError('which file? Name it with --file, or set JWT_KEYS_FILE')
  return path
}

function listed(keys: readonly SigningKey[]): Output {
  const rows = keys.map(({ kid, alg }, index) => ({ kid, alg, signs: index === 0 }))
  return {
    text: table(
      rows.map(({ kid, alg, signs }) => ({ kid, alg, use: signs ? 'signs' : 'verifies' })),
      '',
    ),
    json: { keys: rows },
  }
}

export const keys = group('Keys that sign access tokens, in a file', {
  generate,
  list,
  promote,
  remove,
  export: exportPublic,
})
