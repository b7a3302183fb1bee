import { FIRST_PARTY_CLIENT_ID } from '@latchkey/verifier/access-token'
import type { RefreshTokenPayload } from '../refresh-token.js'
import { type NewSession, PASSWORD_ONLY, type Rotation, type Session } from '../session.js'
import { packDevice, unpackDevice } from './device.js'
import type { RotationReply } from './scripts.js'

/*
  The fields of a session's hash. With a million sessions every byte counts: names are short, and empty fields are omitted.

    un  username
    g   generation of the current refresh token
    r   time of the last rotation, Unix ms
    n   time of the sign-in, Unix ms
    t   time of the last step-up, Unix ms; omitted before the first step-up
    m   methods of the last authentication; omitted if it is `pwd` alone
    e   latest end of the session, Unix ms; omitted if SESSION_MAX_AGE is 0
    c   client id; omitted for a first-party session
    s   scope; omitted if empty
    a   audience; omitted if empty
    o   roles; omitted if empty
    d   device name, IP address and user agent, packed

  Redis stores a hash compactly (listpack) while every value has at most 64 bytes. Otherwise it uses a hash table, with three
  times the memory. So a value that may be long (`un`, `s`, `a`, `o`, `d`) is split: `s1`, `s2` and so on follow `s`.
  A piece has 63 bytes, because a longer string has a longer header in a listpack.
  The scripts write `g`, `r`, `n`, `t`, `m` and `e`, and read the other fields too.
*/
const PIECE_LENGTH = 63

/** The fields and values of a new session. `create.lua` adds the generation and the times. */
export function toFields(session: NewSession): (string | Buffer)[] {
  const { username, clientId, scope, audience, roles, amr } = session
  return [
    ...toUsernameFields(username),
    ...(clientId === FIRST_PARTY_CLIENT_ID ? [] : ['c', clientId]),
    ...split('s', Buffer.from(scope)),
    ...split('a', Buffer.from(audience)),
    ...split('o', Buffer.from(roles.join(' '))),
    ...split('d', packDevice(session)),
    ...(amr.join(' ') === PASSWORD_ONLY.join(' ') ? [] : ['m', amr.join(' ')]),
  ]
}

export const toUsernameFields = (username: string) => split('un', Buffer.from(username))

/** Splits a value at bytes, even within a character: `join` joins the pieces before it decodes them. */
function split(name: string, value: Buffer): (string | Buffer)[] {
  const pieces: (string | Buffer)[] = []
  for (let i = 0; i * PIECE_LENGTH < value.length; i += 1) {
    pieces.push(pieceName(name, i), value.subarray(i * PIECE_LENGTH, (i + 1) * PIECE_LENGTH))
  }
  return pieces
}

const pieceName = (name: string, i: number) => (i === 0 ? name : `${name}${i}`)

/** The session that a hash holds. Undefined if the hash has no generation: the key had expired. */
export function toSession(
  sub: string,
  sid: string,
  hash: Record<string, Buffer>,
  expiresAt: number,
): Session | undefined {
  if (hash.g === undefined) return undefined
  return {
    sub,
    sid,
    username: String(join(hash, 'un')),
    clientId: String(hash.c ?? FIRST_PARTY_CLIENT_ID),
    scope: String(join(hash, 's')),
    audience: String(join(hash, 'a')),
    roles: splitWords(String(join(hash, 'o'))),
    generation: Number(hash.g),
    ...unpackDevice(join(hash, 'd')),
    createdAt: Number(hash.n),
    authenticatedAt: Number(hash.t ?? hash.n),
    amr: hash.m === undefined ? PASSWORD_ONLY : splitWords(String(hash.m)),
    lastSeenAt: Number(hash.r),
    expiresAt,
  }
}

function join(hash: Record<string, Buffer>, name: string): Buffer {
  const pieces: Buffer[] = []
  for (let piece = hash[name]; piece; piece = hash[pieceName(name, pieces.length)]) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** Roles, and the methods of an authentication, are stored with spaces between them. */
const splitWords = (field: string): string[] => (field === '' ? [] : field.split(' '))

/** The outcome of a rotation, from the reply of `rotate.lua`. */
export function toRotation({ sub, sid, generation }: RefreshTokenPayload, reply: RotationReply): Rotation {
  if (reply[0] === 'unknown') return { outcome: 'unknown' }
  if (reply[0] === 'reused') return { outcome: 'reused', successor: reply[1] }
  const [outcome, now, expiresAt, lastSeenAt, authenticatedAt, amr, clientId, scope, audience, roles] = reply
  const session = {
    sub,
    sid,
    clientId,
    scope,
    audience,
    roles: splitWords(roles),
    generation: generation + 1,
    lastSeenAt,
    authenticatedAt,
    amr: splitWords(amr),
    expiresAt,
  }
  return outcome === 'rotated' ? { outcome, session } : { outcome, session, age: now - lastSeenAt }
}
