import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { basicAuthorization } from '../support/api.js'
import { assertion, jwksOf, makeSigner, refusedClient, secondsNow, sign, tokenBy } from '../support/assertions.js'
import { environmentOf, latchkey, operatorEnvironment, storeCombinations } from '../support/latchkey.js'
import { ISSUER, startReady, temporaryFolder } from '../support/service.js'
import { isAll } from '../support/size.js'

// Each command is a process: one combination of stores is enough for every day.
for (const setting of isAll ? storeCombinations : (['sqlite'] as const)) {
  test(`${setting}: the running service follows when the command line changes issuers, keys and subjects`, async (t) => {
    const env = await environmentOf(t, setting)
    const { api } = await startReady(t, env)
    const run = async (...args: string[]) => {
      const ran = await latchkey([...args, '--json'], operatorEnvironment(env))
      if (ran.code !== 0) throw new Error(ran.stderr)
      return ran.json
    }
    const folder = temporaryFolder(t)
    const [own, cluster] = [await makeSigner(), await makeSigner()]
    const [ownKeys, clusterKeys] = [join(folder, 'own.json'), join(folder, 'cluster.json')]
    writeFileSync(ownKeys, JSON.stringify(jwksOf(own)))
    writeFileSync(clusterKeys, JSON.stringify(jwksOf(cluster)))
    const now = secondsNow()
    const claims = { iss: 'https://cluster.test', sub: 'system:serviceaccount:shop:billing', aud: [ISSUER] }
    const token = await sign(cluster, { ...claims, iat: now, exp: now + 600 })

    t.strictSame(await run('issuers', 'add', 'cluster', '--issuer', claims.iss, '--jwks', clusterKeys), {
      name: 'cluster',
      issuer: claims.iss,
    })
    t.match(await tokenBy(api, token), refusedClient, 'no client is bound')
    const made = await run('clients', 'create', 'billing', '--issuer', 'cluster', '--subject', claims.sub)
    t.strictSame(made, { id: 'billing', scopes: [], audiences: [], exchange_audiences: [] }, 'no secret')
    t.match(await tokenBy(api, token), { status: 200 })

    await run('clients', 'update', 'billing', '--jwks', ownKeys, '--remove-subject')
    t.equal((await tokenBy(api, await assertion(own, 'billing'))).status, 200, 'a new key is good at once')
    const both = await run(
      'clients',
      'create',
      'both',
      '--jwks-uri',
      'https://app.test/jwks',
      '--secret',
      '--scope',
      'introspect',
    )
    const ask = () => api.call('/introspect', { form: { token: 'x' }, headers: basicAuthorization(both) })
    t.equal((await ask()).status, 200)
    t.match(await run('clients', 'list'), {
      clients: [
        { id: 'billing', has_secret: false, jwks: jwksOf(own), jwks_uri: null, issuer: null, subject: null },
        { id: 'both', has_secret: true, jwks: null, jwks_uri: 'https://app.test/jwks' },
        {},
      ],
    })
    t.match(await run('issuers', 'list'), { issuers: [{ name: 'cluster', issuer: claims.iss, jwks: jwksOf(cluster) }] })
    t.strictSame(await run('issuers', 'remove', 'cluster'), { name: 'cluster', removed: true })
  })
}

test('the command line refuses a proof that cannot work, in one line', async (t) => {
  const env = operatorEnvironment(await environmentOf(t, 'sqlite'))
  const file = join(temporaryFolder(t), 'keys.json')
  writeFileSync(file, '{"keys":[{"kty":"oct","k":"x"}]}')
  await latchkey(['clients', 'create', 'plain'], env)
  await latchkey(['issuers', 'add', 'c', '--issuer', 'https://c.test'], env)
  await latchkey(['clients', 'create', 'bound', '--issuer', 'c', '--subject', 's'], env)
  for (const [args, said, code = 1] of [
    [['clients', 'create', 'a', '--jwks', file], /key 1 of jwks: it is a private key or a secret/],
    [['clients', 'create', 'a', '--jwks-uri', 'http://app.test/jwks'], /--jwks-uri must begin with https/],
    [['clients', 'create', 'a', '--issuer', 'c'], /--issuer and --subject come together/],
    [['clients', 'create', 'a', '--issuer', 'nobody', '--subject', 's'], /there is no issuer nobody/],
    [['clients', 'create', 'a', '--issuer', 'c', '--subject', 's'], /another client is bound to s of c/],
    [['clients', 'update', 'plain'], /nothing to change/, 2],
    [['clients', 'update', 'plain', '--remove-secret'], /could not authenticate any more/],
    [['issuers', 'add', 'c', '--issuer', 'https://c.test'], /the issuer c exists/],
    [['issuers', 'add', 'd', '--issuer', 'http://d.test'], /issuer must begin with https/],
    [['issuers', 'remove', 'c'], /clients are bound to c: bound/],
    [['issuers', 'remove', 'd'], /there is no issuer d/],
  ] as [string[], RegExp, number?][]) {
    t.match(await latchkey(args, env), { code, stdout: '', stderr: said }, args.join(' '))
  }
})
