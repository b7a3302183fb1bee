import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import Database from 'libsql'
import { type Device, PEOPLE, writeStory } from './story.js'

const DAY = 24 * 60 * 60_000
const WEEK = 7 * DAY
/** The default of REFRESH_TTL: the time that a session lives without a refresh. */
const REFRESH_TTL = WEEK

interface Tokens {
  access_token: string
  refresh_token: string
}

interface TokenService {
  url: string
  /** Of a client with the scope `admin`. */
  authorization: string
  /** The SQLite file. */
  database: string
  /** The process, with `past-clock.js`. */
  process: ChildProcess
}

/**
 * Gives the token service of the example people, devices and an hour of activity. Each event is a real request, and the clock
 * of the token service is at the time of the event. Afterwards its clock is that of the machine.
 */
export async function seed(service: TokenService): Promise<void> {
  const { url, authorization } = service
  // Nobody knows this password. The operator can reset it in the console.
  const password = randomBytes(24).toString('base64url')
  const ids = new Map<string, string>()
  const now = Date.now()

  for (const { username, roles } of PEOPLE) {
    const { id } = (await must('/admin/users', { json: { username, password, roles } })) as { id: string }
    ids.set(username, id)
  }
  for (const client of [
    { id: 'billing', scopes: ['introspect'], audiences: ['todo'] },
    { id: 'gateway', scopes: ['introspect'] },
  ]) {
    await must('/admin/clients', { json: client })
  }

  const story = writeStory({
    async signIn(device, typed = password) {
      const { username, agent, name, ip } = device
      const answer = await call('/login', {
        json: { username, password: typed, ...(name && { device_name: name }) },
        device: { agent, ip },
      })
      if (!answer.ok) return
      const { access_token: access, refresh_token: refresh } = (await answer.json()) as Tokens
      const [, payload = ''] = access.split('.')
      const { sid } = JSON.parse(Buffer.from(payload, 'base64url').toString())
      Object.assign(device, { access, refresh, sid })
    },
    async refresh(device, token = device.refresh) {
      if (token === undefined) return
      const answer = await call('/refresh', { json: { refresh_token: token }, device })
      // A client whose session has ended does not ask again.
      device.refresh = answer.ok ? ((await answer.json()) as Tokens).refresh_token : undefined
    },
    async signOut(device) {
      await call('/logout', { method: 'POST', device, bearer: device.access })
    },
    async signOutEverywhere(device) {
      await call('/logout-all', { method: 'POST', device, bearer: device.access })
    },
    async end({ username, sid }) {
      await call(`/admin/sessions/${sid}?sub=${ids.get(username)}`, { method: 'DELETE' })
    },
    async disable(username) {
      await call(`/admin/users/${ids.get(username)}/disable`, { method: 'POST' })
    },
    async setRoles(username, roles) {
      await call(`/admin/users/${ids.get(username)}/roles`, { method: 'PUT', json: { roles } })
    },
  })
  try {
    for (const { at, act } of story.events) {
      await moveClock(service.process, now + at)
      await act()
    }
  } finally {
    service.process.disconnect()
  }
  writeTimes(service.database, now, story.devices)

  interface Call {
    method?: string
    json?: object
    bearer?: string | undefined
    device?: { agent?: string | undefined; ip: string }
  }

  function call(path: string, { method = 'POST', json, bearer, device }: Call): Promise<Response> {
    return fetch(`${url}${path}`, {
      method,
      headers: {
        ...(json && { 'content-type': 'application/json' }),
        ...(bearer && { authorization: `Bearer ${bearer}` }),
        ...(path.startsWith('/admin') && { authorization }),
        ...(device && { 'x-forwarded-for': device.ip, 'user-agent': device.agent ?? 'okhttp/5.3.0' }),
      },
      ...(json && { body: JSON.stringify(json) }),
    })
  }

  async function must(path: string, request: Call): Promise<unknown> {
    const answer = await call(path, request)
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`)
    return answer.json()
  }
}

async function moveClock(child: ChildProcess, time: number): Promise<void> {
  child.send(time)
  await once(child, 'message')
}

/** SQLite has a clock of its own, and wrote the time of the seeding. The file gets the times of the story. */
function writeTimes(path: string, now: number, devices: Device[]): void {
  const database = new Database(path)
  try {
    database.pragma('busy_timeout = 10000')
    const setUser = database.prepare('UPDATE users SET created_at = ? WHERE username = ?')
    const setSession = database.prepare(
      `UPDATE sessions SET created_at = @created, authenticated_at = NULL, last_seen_at = @seen, rotated_at = @seen,
         expires_at = @expires WHERE sid = @sid`,
    )
    database.transaction(() => {
      for (const [index, { username }] of PEOPLE.entries()) setUser.run(now - (400 - 31 * index) * DAY, username)
      for (const { sid, signedInAt, seenAt } of devices) {
        if (sid === undefined) continue
        const seen = now + seenAt
        setSession.run({ sid, created: now + signedInAt, seen, expires: seen + REFRESH_TTL })
      }
    })()
  } finally {
    database.close()
  }
}
