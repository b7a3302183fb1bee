import { createHmac, createPrivateKey, type JsonWebKey, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'tap'
import { claimsOf } from '../support/decode.js'
import { startExampleClient } from '../support/example-clients.js'
import { base64url } from '../support/hostile/forger.js'
import { keyFileSettings, makeKey, type PrivateKey, writeKeyFile } from '../support/keys.js'
import { readRecipes, recipeCommand } from '../support/recipes.js'
import { environment, ISSUER, JWT_SECRET, PASSWORD, spawnService } from '../support/service.js'
import { claimsWithGenuineJti } from '../support/stamped.js'

/** Signs as the service does. */
function signToken(header: object, claims: object, key: PrivateKey | undefined): string {
  const input = `${base64url(header)}.${base64url(claimsWithGenuineJti(claims))}`
  const signature = key
    ? sign('sha256', Buffer.from(input), {
        key: createPrivateKey({ key: key as JsonWebKey, format: 'jwk' }),
        dsaEncoding: 'ieee-p1363',
      })
    : createHmac('sha256', JWT_SECRET).update(input).digest()
  return `${input}.${signature.toString('base64url')}`
}

for (const file of Object.keys(readRecipes())) {
  // An edge runtime gets no secret: the recipe knows ES256 alone.
  const isWorker = file === 'worker.mjs'
  for (const algorithm of isWorker ? (['ES256'] as const) : (['ES256', 'HS256'] as const)) {
    test(`the recipe ${file} with ${algorithm} accepts live tokens and no others, and introspection sees the sign-out`, async (t) => {
      const key = algorithm === 'ES256' ? await makeKey('ES256') : undefined
      const settings = key ? keyFileSettings(writeKeyFile(t, key)) : {}
      const service = await spawnService(t, await environment(t, 'sqlite', { AUDIENCE: 'todo,bills', ...settings }))
      const { api } = service
      const env = { LATCHKEY_URL: api.url, ISSUER, AUDIENCE: 'todo', ...(!key && { JWT_SECRET }) }
      const client = await startExampleClient(t, recipeCommand(t, file), env)
      const commands = isWorker ? (['live'] as const) : (['verify', 'live'] as const)
      const verdict = (what: string, token: string) => client.verdict(`${what} ${token}`)

      await api.signUp('ada', PASSWORD)
      const [one, other] = [await api.tokens('ada', PASSWORD), await api.tokens('ada', PASSWORD)]
      const elsewhere = await api.tokens('ada', PASSWORD, { audience: 'bills' })
      const [head = '', payload = '', signature = ''] = one.access_token.split('.')
      const header = JSON.parse(Buffer.from(head, 'base64url').toString())
      const claims = claimsOf(one.access_token)
      t.equal(header.alg, algorithm)
      const now = Math.floor(Date.now() / 1000)
      const published = JSON.stringify((await api.call('/.well-known/jwks.json')).body.keys[0] ?? {})
      const withHeader = (changes: object) => signToken({ ...header, ...changes }, claims, key)
      const withClaims = (changes: object) => signToken(header, { ...claims, ...changes }, key)
      const confused = `${base64url({ ...header, alg: 'HS256' })}.${payload}`
      const refused: Record<string, string> = {
        'A1: forged': `${head}.${payload}.${'A'.repeat(signature.length)}`,
        'of another audience': elsewhere.access_token,
        'of another issuer': withClaims({ iss: 'http://elsewhere.test' }),
        expired: withClaims({ iat: now - 900, exp: now - 1 }),
        'without an expiry': withClaims({ exp: undefined }),
        'of another type': withHeader({ typ: 'JWT' }),
        'without a type': withHeader({ typ: undefined }),
        'of no algorithm': `${base64url({ ...header, alg: 'none' })}.${payload}.`,
        'of the public key as a secret': `${confused}.${createHmac('sha256', published).update(confused).digest('base64url')}`,
        'of an unknown key': `${base64url({ ...header, kid: 'x' })}.${payload}.${'A'.repeat(signature.length)}`,
        'a refresh token': one.refresh_token,
        'no token': 'x',
      }
      for (const what of commands) {
        for (const { access_token: token } of [one, other]) {
          const answer = await client.answer(`${what} ${token}`)
          t.match(answer, new RegExp(`^good {.*${claims.sub}`), `${what}: a live token`)
        }
        t.equal(await verdict(what, withClaims({})), 'good', 'our own signature is as good as that of the service')
        for (const [name, token] of Object.entries(refused))
          t.equal(await verdict(what, token), 'refused', `${what}: ${name}`)
      }

      t.equal((await api.logout(one.access_token)).status, 204)
      t.equal(await verdict('live', one.access_token), 'refused', 'introspection sees the sign-out at once')
      if (!isWorker)
        t.equal(await verdict('verify', one.access_token), 'good', 'as the page says, the library does not')
      t.equal(await verdict('live', other.access_token), 'good')
      await service.end('SIGKILL')
      t.equal(await verdict('live', other.access_token), 'unavailable', 'nothing is accepted while nobody can tell')
    })
  }
}

test('each recipe of the page says with what it was tested, or that it was not', async (t) => {
  const page = readFileSync(new URL('../../../docs/other-languages.md', import.meta.url), 'utf8')
  const sections = page.split('\n## ').slice(2)
  for (const section of sections) {
    const [name = ''] = section.split('\n')
    const isTested = section.includes('<!-- recipe: ')
    t.equal(isTested, !section.includes('*Not tested here.*'), name)
  }
  const recipes = readRecipes()
  t.strictSame(Object.keys(recipes), ['pyjwt.py', 'auth.go', 'auth.mjs', 'worker.mjs'])
  t.notMatch(recipes['worker.mjs'], /\b(process|Buffer|require)\b|node:/, 'the handler uses only what the Web has')
})
