import { FIRST_PARTY, type NewSession, type Session } from '../session.js'
import { packDevice, unpackDevice } from './device.js'

/*
  The fields of a session's hash. A million sessions carry them, so their names are short, and what says nothing is left out:

    un  the user's name
    g   the generation of the refresh token that is current
    r   when it was moved on last, n when the session began, e when it ends at the latest, in Unix ms; no e: never
    c   the client, unless the person signed in by themselves
    s   scope, a audience, o roles; not where empty
    d   device name, address and user agent, packed

  Redis keeps a hash whose values have at most 64 bytes as one string, and any other one as a table, of three times the
  memory. So what may be long (`un`, `s`, `a`, `o`, `d`) is cut: after `s` come `s1`, `s2` and so on. Pieces of 63 bytes have the shorter header.
  The names `g`, `r`, `n` and `e` are the scripts', which read the others too.
*/
const PIECE = 63

/** What is said of a session when it begins; `create.lua` adds the rest. */
export function toFields(session: NewSession): (string | Buffer)[] {
  const { username, clientId, scope, audience, roles } = session
  return [
    ...cut('un', Buffer.from(username)),
    ...(clientId === FIRST_PARTY ? [] : ['c', clientId]),
    ...cut('s', Buffer.from(scope)),
    ...cut('a', Buffer.from(audience)),
    ...cut('o', Buffer.from(roles.join(' '))),
    ...cut('d', packDevice(session)),
  ]
}

/** By bytes, wherever a character ends: the pieces are joined before they are read. */
function cut(name: string, value: Buffer): (string | Buffer)[] {
  const pieces: (string | Buffer)[] = []
  for (let i = 0; i * PIECE < value.length; i += 1) {
    pieces.push(nameOfPiece(name, i), value.subarray(i * PIECE, (i + 1) * PIECE))
  }
  return pieces
}

const nameOfPiece = (name: string, i: number) => (i === 0 ? name : `${name}${i}`)

/** The session of a hash, or undefined where it is none. */
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
    clientId: String(hash.c ?? FIRST_PARTY),
    scope: String(join(hash, 's')),
    audience: String(join(hash, 'a')),
    roles: toRoles(String(join(hash, 'o'))),
    generation: Number(hash.g),
    ...unpackDevice(join(hash, 'd')),
    createdAt: Number(hash.n),
    lastSeenAt: Number(hash.r),
    expiresAt,
  }
}

function join(hash: Record<string, Buffer>, name: string): Buffer {
  const pieces: Buffer[] = []
  for (let piece = hash[name]; piece; piece = hash[nameOfPiece(name, pieces.length)]) pieces.push(piece)
  return Buffer.concat(pieces)
}

export const toRoles = (field: string): string[] => (field === '' ? [] : field.split(' '))
