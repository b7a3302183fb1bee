import { Writable } from 'node:stream'
import { type Test, test } from 'tap'
import { createLogger } from '../src/log.js'
import { Api, type Tokens } from './support/api.js'
import { startRedis } from './support/servers/redis.js'
import { environment, spawnService } from './support/service.js'

const canary = (name: string) => `Zq7canary-${name}-9Xw4Tb8Kd2Lm6Ph3Vs5`

/** A service in production at log level trace, with a Redis password. Every secret is a canary. */
async function spawnWithCanaries(t: Test) {
  const redis = await startRedis({ args: ['--requirepass', canary('redis')] })
  t.teardown(() => redis.stop())
  const env = await environment(t, 'sqlite', {
    NODE_ENV: 'production',
    SIGNUP: 'open',
    LOG_LEVEL: 'trace',
    JWT_SECRET: canary('jwt'),
    REFRESH_SECRET: canary('mac'),
    BOOTSTRAP_CLIENT: `todo:${canary('client')}`,
    REDIS_URL: redis.url.replace('//', `//:${canary('redis')}@`),
  })
  const service = await spawnService(t, env)
  return { redis, service, api: new Api(service.api.url, { id: 'todo', secret: canary('client') }) }
}

const linesOf = (output: string) => output.split('\n').filter((line) => line !== '')

test('C1: at trace no output contains a password, token, secret or Authorization header, also after errors', async (t) => {
  const { redis, service, api } = await spawnWithCanaries(t)
  const [password, renewed] = [canary('password'), canary('renewed')]
  const issued: string[] = []
  const keep = (tokens: Tokens) => {
    issued.push(tokens.access_token, tokens.refresh_token)
    return tokens
  }
  const answers: string[] = []
  const send: Api['call'] = async (...args) => {
    const answer = await api.call(...args)
    answers.push(JSON.stringify(answer))
    return answer
  }
  const basic = (secret: string) => `Basic ${Buffer.from(`todo:${secret}`).toString('base64')}`

  await api.signUp('ada', password)
  await send('/users', { json: { username: 'ada', password } })
  await send('/users', { json: { username: canary('name'), password: 'short' } })
  const tokens = keep(await api.tokens('ada', password, { device_name: 'phone' }))
  await send('/login', { json: { username: 'ada', password: canary('wrong') } })
  await send('/login', { json: { username: canary('name'), password: 'x' } })
  await send('/login', { json: { username: 'ada', password: [canary('wrong')] } })
  await send('/login', { raw: `{"password":"${canary('wrong')}"`, headers: { 'content-type': 'application/json' } })
  await send('/login', { raw: canary('wrong'), headers: { 'content-type': 'text/xml' } })
  await send(`/login?password=${canary('query')}`, { json: {} })
  await send(`/${canary('path')}`)

  const second = keep((await api.refresh(tokens.refresh_token)).body)
  t.equal(await api.isActive(second.access_token), true)
  await send(`/introspect?token=${canary('query')}`, { form: { token: second.access_token } })
  await send('/introspect', {
    form: { token: second.access_token },
    headers: { authorization: basic(canary('wrong')) },
  })
  await send('/introspect', { form: {}, headers: { authorization: basic(canary('client')) } })
  await send('/sessions', { headers: { authorization: `Bearer ${canary('header')}` } })
  await send('/sessions', { headers: { authorization: canary('header') } })
  await send('/refresh', { json: { refresh_token: `lkr_${canary('forged')}` } })
  const bearer = second.access_token
  await send('/users/me/password', { json: { current_password: canary('wrong'), new_password: renewed }, bearer })
  await send('/users/me/password', { json: { current_password: password, new_password: renewed }, bearer })
  await send('/logout', { method: 'POST', bearer })
  await send('/refresh', { json: { refresh_token: second.refresh_token } })

  const asAdmin = { authorization: basic(canary('client')) }
  const cheap = '$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG'
  const made = await send('/admin/users', { json: { username: 'eve', password_hash: cheap }, headers: asAdmin })
  t.equal(made.status, 201)
  await send('/admin/users', { json: { username: 'bob', password }, headers: asAdmin })
  await send('/admin/users', { json: { username: 'carl', password_hash: canary('hash') }, headers: asAdmin })
  await send(`/admin/users/${made.body.id}/password`, { json: { password }, headers: asAdmin })
  await send(`/admin/users/${made.body.id}/password`, { json: { password: 'short' }, headers: asAdmin })
  await send('/admin/users', { headers: { authorization: basic(canary('wrong')) } })
  const client = await api.call('/admin/clients', { json: { id: 'backend' }, headers: asAdmin })
  const rotated = await api.call('/admin/clients/backend/secret', { method: 'POST', headers: asAdmin })
  const generated: string[] = [client.body.secret, rotated.body.secret]

  const third = keep(await api.tokens('ada', renewed))
  await redis.stop()
  for (const path of ['/refresh', '/logout', '/logout-all']) {
    const answer = await send(path, {
      method: 'POST',
      bearer: path === '/refresh' ? third.refresh_token : third.access_token,
    })
    t.equal(answer.status, 503, `${path} without Redis`)
  }
  const unavailable = await send('/introspect', {
    form: { token: third.access_token },
    headers: { authorization: basic(canary('client')) },
  })
  t.equal(unavailable.status, 503)
  t.equal((await send('/login', { json: { username: 'ada', password: renewed } })).status, 503)
  for (const path of ['/livez', '/readyz', '/metrics'])
    answers.push(await (await fetch(service.managementUrl + path)).text())
  await service.end('SIGKILL')

  const output = service.output()
  t.match(output, '"level":20', 'the log is chatty')
  t.match(output, '"event":"login.accepted"')
  const secrets = issued.flatMap((token) => [
    token,
    ...token
      .split('.')
      .filter((part) => part.length > 40)
      .slice(1),
  ])
  t.equal(issued.length, 6)
  for (const [what, text] of [
    ['output', output],
    ['answers', answers.join('\n')],
  ] as const) {
    // Canaries are also searched as bytes, in base64 and in percent-encoding. Each of these contains the middle part
    // unchanged.
    t.notMatch(text, /Zq7canary|9Xw4Tb8Kd2Lm6Ph3Vs5/, `no canary in the ${what}`)
    t.notMatch(text, basic(canary('client')).slice(6), `no Basic credentials in the ${what}`)
    t.notMatch(text, basic(canary('wrong')).slice(6, 60), `no wrong Basic credentials in the ${what}`)
    for (const secret of secrets) if (text.includes(secret)) t.fail(`a token is in the ${what}`)
    for (const secret of [...generated, cheap])
      if (text.includes(secret)) t.fail(`a secret or a hash is in the ${what}`)
  }
})

test('C2: an event is one JSON line, whatever names and headers the callers send', async (t) => {
  const { service, api } = await spawnWithCanaries(t)
  const evil = 'ada\n{"level":60,"msg":"forged"}\r\n\u001b[31m\u2028\u0000'
  await api.signUp(evil, canary('password'))
  await api.login(evil, canary('password'))
  await api.signUp('ada', canary('password'))
  await api.login('ada', canary('password'), { device_name: evil })
  const { access_token: bearer } = await api.tokens('ada', canary('password'))
  await api.call('/login', {
    json: { username: evil },
    headers: { 'user-agent': 'x\u009b31m', 'x-request-id': 'a b' },
  })
  await api.call(`/sessions/${encodeURIComponent(evil)}`, { method: 'DELETE', bearer })
  await api.call(`/${encodeURIComponent(evil)}`)
  await service.end('SIGKILL')

  const lines = linesOf(service.output())
  t.ok(lines.length >= 8)
  for (const line of lines) {
    t.match(JSON.parse(line), { level: Number, time: /^\d{4}-\d\d-\d\dT.*Z$/, msg: String })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    t.notMatch(line, /[\u0000-\u001f\u007f\u2028]/)
  }
  t.strictSame(
    lines.filter((line) => JSON.parse(line).msg === 'forged'),
    [],
  )
})

test('a secret that a library or a mistake passes to the log is redacted', async (t) => {
  let output = ''
  const sink = new Writable({
    write(line, _encoding, done) {
      output += line
      done()
    },
  })
  const log = createLogger('trace', sink)
  const secret = canary('secret')
  log.info({ password: secret, token: secret, client_secret: secret })
  log.info({ body: { current_password: secret, new_password: secret, refresh_token: secret, access_token: secret } })
  log.info({ req: { headers: { authorization: secret, cookie: secret } } })
  t.equal(output.match(/\[redacted\]/g)?.length, 9)
  t.notMatch(output, secret)

  // Database drivers attach the command and its values to their errors.
  const cause = Object.assign(new Error('WRONGPASS'), { command: { name: 'auth', args: [secret] }, code: 'WRONGPASS' })
  output = ''
  log.error({ err: Object.assign(new Error('failed', { cause }), { connectionString: secret }) }, 'failed')
  t.notMatch(output, secret)
  t.match(JSON.parse(output).err, { name: 'Error', message: 'failed', stack: String, cause: { code: 'WRONGPASS' } })
})
