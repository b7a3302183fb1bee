import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { type Adapter, type AdapterPayload, Provider } from 'oidc-provider'

/**
 * The peer: oidc-provider on the same Redis, with opaque tokens. Its example adapter stores a JSON text for each token and an
 * index for each grant. Two settings help it: pipelining, and no id token at a refresh. The peer writes as many tokens as the
 * service has into files of the folder, and then listens.
 */
const { PORT, REDIS_URL, FOLDER, CLIENT_ID, CLIENT_SECRET, TOKENS } = process.env as Record<string, string>
const redis = new Redis(REDIS_URL as string, { keyPrefix: 'oidc:', enableAutoPipelining: true })
const GRANTED = new Set(['AccessToken', 'RefreshToken', 'ClientCredentials'])

class RedisAdapter implements Adapter {
  constructor(private readonly name: string) {}

  private key(id: string) {
    return `${this.name}:${id}`
  }

  async upsert(id: string, payload: AdapterPayload, expiresIn: number) {
    const work = redis.multi()
    if (this.name === 'RefreshToken') {
      work.hset(this.key(id), { payload: JSON.stringify(payload) }).expire(this.key(id), expiresIn)
    } else {
      work.set(this.key(id), JSON.stringify(payload), 'EX', expiresIn)
    }
    if (GRANTED.has(this.name) && payload.grantId) {
      work.rpush(`grant:${payload.grantId}`, this.key(id)).expire(`grant:${payload.grantId}`, expiresIn)
    }
    await work.exec()
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    if (this.name === 'RefreshToken') {
      const { payload, consumed } = await redis.hgetall(this.key(id))
      return payload === undefined ? undefined : { ...JSON.parse(payload), ...(consumed && { consumed }) }
    }
    const found = await redis.get(this.key(id))
    return found === null ? undefined : JSON.parse(found)
  }

  async consume(id: string) {
    await redis.hset(this.key(id), 'consumed', Math.floor(Date.now() / 1000))
  }

  async destroy(id: string) {
    await redis.del(this.key(id))
  }

  async revokeByGrantId(grantId: string) {
    const keys = await redis.lrange(`grant:${grantId}`, 0, -1)
    await redis.del(`grant:${grantId}`, ...keys)
  }

  async findByUserCode() {
    return undefined
  }

  async findByUid() {
    return undefined
  }
}

const provider = new Provider('http://localhost:3000', {
  adapter: RedisAdapter,
  clients: [
    {
      client_id: CLIENT_ID as string,
      client_secret: CLIENT_SECRET as string,
      grant_types: ['client_credentials', 'refresh_token', 'authorization_code'],
      redirect_uris: ['https://client.example/callback'],
    },
  ],
  scopes: ['offline_access', 'todo:read', 'todo:write'],
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    devInteractions: { enabled: false },
  },
  rotateRefreshToken: true,
  findAccount: (_context, accountId) => ({ accountId, claims: async () => ({ sub: accountId }) }),
  ttl: { AccessToken: 900, ClientCredentials: 900, RefreshToken: 604_800, Grant: 604_800 },
})
provider.on('server_error', (_context, error) => process.stderr.write(`${error.stack}\n`))

const client = await provider.Client.find(CLIENT_ID as string)
if (!client) throw new Error('there is no client')
const access: string[] = []
const refresh: string[] = []
for (let i = 0; i < Number(TOKENS); i += 1) {
  const accountId = `user-${i}`
  const grant = new provider.Grant({ accountId, clientId: client.clientId })
  grant.addOIDCScope('offline_access todo:read todo:write')
  const grantId = await grant.save()
  const granted = {
    accountId,
    client,
    grantId,
    gty: 'authorization_code',
    scope: 'offline_access todo:read todo:write',
  }
  access.push(await new provider.AccessToken(granted as never).save())
  refresh.push(await new provider.RefreshToken(granted as never).save())
}
writeFileSync(join(FOLDER as string, 'oidc-access'), `${access.join('\n')}\n`)
writeFileSync(join(FOLDER as string, 'oidc-refresh'), `${refresh.join('\n')}\n`)
provider.listen(Number(PORT), '127.0.0.1')
