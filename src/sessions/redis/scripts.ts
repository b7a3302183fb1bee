import { readFileSync } from 'node:fs'
import type { RedisClient } from './client.js'

const lua = (name: string) => readFileSync(new URL(`./${name}.lua`, import.meta.url), 'utf8')

/**
 * Seconds for which the epoch and the id of the store stay in a Redis that no service uses. Every key carries a TTL. This one is
 * longer than a session lives: without these keys, a service that starts again takes the Redis for an emptied one.
 */
export const STORE_TTL = 10 * 365 * 86_400

/** The source of each script. Its header documents KEYS, ARGV and the reply. */
export const scripts = {
  lkCreate: { lua: lua('create'), numberOfKeys: 2 },
  // The scripts without `numberOfKeys` take it as their first argument.
  lkRotate: { lua: lua('rotate') },
  lkReauthenticate: { lua: lua('reauthenticate'), numberOfKeys: 2 },
  lkRevokeSessions: { lua: lua('revoke-sessions') },
  lkRename: { lua: lua('rename') },
  lkFindUsernames: { lua: lua('find-usernames') },
  lkPublishRevocation: { lua: lua('publish-revocation'), numberOfKeys: 2 },
  lkUseOnce: { lua: lua('use-once'), numberOfKeys: 1 },
  lkRevokeClient: { lua: lua('revoke-client'), numberOfKeys: 1 },
  lkEpoch: { lua: lua('epoch'), numberOfKeys: 1 },
  lkReadFeed: { lua: lua('read-feed'), numberOfKeys: 2 },
  lkHeartbeat: { lua: lua('heartbeat'), numberOfKeys: 2 },
}

/** The commands that `defineCommand` adds to the client. */
interface ScriptCommands {
  lkCreate(
    session: string,
    index: string,
    ...args: (string | number | Buffer)[]
  ): Promise<[number, number, ...string[]]>
  lkRotate(keys: number, ...args: (string | number)[]): Promise<RotationReply[]>
  lkReauthenticate(session: string, index: string, sid: string, ttl: number, amr: string): Promise<number>
  lkRevokeSessions(keys: number, ...args: string[]): Promise<string[]>
  lkFindUsernames(keys: number, ...sessions: string[]): Promise<(string | null)[]>
  lkRename(keys: number, ...args: (string | Buffer)[]): Promise<number>
  lkPublishRevocation(feed: string, retention: string, kept: number, ...fields: string[]): Promise<string>
  lkUseOnce(key: string, deadline: number, kept: number): Promise<number>
  lkRevokeClient(key: string, notBefore: number, kept: number): Promise<number>
  lkEpoch(epoch: string, ttl: number): Promise<number>
  lkReadFeed(feed: string, retention: string, from: string, limit: number): Promise<FeedReply>
  lkHeartbeat(feed: string, retention: string, interval: number, kept: number, word: string): Promise<number>
}
type Times = [now: number, expiresAt: number, rotatedAt: number, authenticatedAt: number]
type Rotated = [
  'rotated' | 'replayed',
  ...Times,
  amr: string,
  owner: string,
  scope: string,
  audience: string,
  roles: string,
]
export type RotationReply = Rotated | ['reused', successor: 'unused' | 'used'] | ['unknown']

export type FeedReply = [
  now: number,
  retention: number,
  oldest: string,
  newest: string,
  entries: [id: string, fields: string[]][],
]
export type ScriptedClient = RedisClient & ScriptCommands

/** Adds the scripts to the client as commands. ioredis sends their hashes, and their source when Redis lacks it. */
export function defineScripts(client: RedisClient): ScriptedClient {
  for (const [name, script] of Object.entries(scripts)) client.defineCommand(name, script)
  return client as ScriptedClient
}
