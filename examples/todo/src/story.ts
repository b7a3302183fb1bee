/** What happens in the hour that `seed.ts` plays. Times are milliseconds from the end of the hour, so they are negative. */

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

export interface Device {
  username: string
  /** The User-Agent of a browser. Undefined: an app, which has a name instead. */
  agent?: string | undefined
  name?: string | undefined
  /** Of the ranges for documentation (RFC 5737, RFC 3849). */
  ip: string
  signedInAt: number
  seenAt: number
  access?: string
  refresh?: string | undefined
  sid?: string
}

/** Each act is a request to the token service. */
interface Acts {
  signIn(device: Device, password?: string): Promise<void>
  refresh(device: Device, token?: string): Promise<void>
  signOut(device: Device): Promise<void>
  signOutEverywhere(device: Device): Promise<void>
  end(device: Device): Promise<void>
  disable(username: string): Promise<void>
  setRoles(username: string, roles: string[]): Promise<void>
}

const MAC = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)'
const AGENTS = {
  safari: `${MAC} AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15`,
  chrome: `${MAC} AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36`,
  edge: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36 Edg/150.0.0.0',
  firefox: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  iphone:
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1',
  android:
    'Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Mobile Safari/537.36',
}
type Kind = keyof typeof AGENTS

export const PEOPLE: readonly { username: string; roles: string[]; has: (Kind | { name: string })[] }[] = [
  { username: 'ada', roles: ['editor'], has: ['safari', 'iphone', 'firefox'] },
  { username: 'alan', roles: [], has: ['firefox', 'android'] },
  { username: 'barbara', roles: ['support'], has: ['chrome', { name: 'Todo for Android' }] },
  { username: 'dennis', roles: [], has: ['firefox'] },
  { username: 'edsger', roles: [], has: ['safari'] },
  { username: 'frances', roles: ['editor'], has: ['edge', 'iphone'] },
  { username: 'grace', roles: ['editor', 'support'], has: ['chrome', 'iphone', { name: 'Tablet in the workshop' }] },
  { username: 'hedy', roles: [], has: ['android'] },
  { username: 'katherine', roles: ['editor'], has: ['edge', 'android'] },
  { username: 'margaret', roles: ['support'], has: ['chrome', 'iphone'] },
  { username: 'niklaus', roles: ['contractor'], has: ['edge'] },
  { username: 'radia', roles: [], has: ['firefox', 'iphone'] },
]

export interface Story {
  devices: Device[]
  /** In their order. */
  events: { at: number; act: () => Promise<void> }[]
}

export function writeStory(acts: Acts): Story {
  const random = randomNumbers(20)
  const devices: Device[] = []
  const events: Story['events'] = []
  const plan = (at: number, act: () => Promise<void>) => events.push({ at, act })
  const signIn = (device: Device) => {
    devices.push(device)
    plan(Math.max(device.signedInAt, -62 * MINUTE - devices.length * SECOND), () => acts.signIn(device))
    return device
  }
  const refresh = (device: Device, at: number) =>
    plan(at, async () => {
      await acts.refresh(device)
      device.seenAt = at
    })

  // Before the hour: each person has their devices, some of them for days.
  for (const [index, { username, has }] of PEOPLE.entries()) {
    for (const [which, kind] of has.entries()) {
      const signedInAt = -random() * (which === 0 ? 6 : 3) * DAY - 2 * HOUR
      const seenAt = signedInAt * random() * 0.3 - HOUR
      const ip = which === 0 ? `192.0.2.${10 + index}` : `2001:db8:${(40 + 7 * index).toString(16)}::${which}`
      const known = typeof kind === 'string' ? { agent: AGENTS[kind] } : kind
      signIn({ username, ip, signedInAt, seenAt, ...known })
    }
  }
  const settled = [...devices]

  // The hour: people come, work and go. The morning becomes busier.
  for (let minute = -60; minute < 0; minute += 1) {
    const busy = 0.45 + 0.5 * Math.sin((minute + 70) / 45) + 0.15 * Math.sin(minute / 3) + 0.3 * random()
    const at = () => (minute + random()) * MINUTE
    for (const device of settled) if (random() < 0.26 * busy) refresh(device, at())
    for (let count = Math.floor(2.8 * busy * random()); count > 0; count -= 1) {
      const index = Math.floor(random() * PEOPLE.length)
      const username = PEOPLE[index]?.username as string
      if (username === 'niklaus') continue
      const signedInAt = at()
      const ip = `203.0.113.${20 + index}`
      const visit = signIn({ username, agent: AGENTS.chrome, ip, signedInAt, seenAt: signedInAt })
      const stays = (2 + 9 * random()) * MINUTE
      if (signedInAt + stays < 0 && random() < 0.85) plan(signedInAt + stays, () => acts.signOut(visit))
    }
    if (random() < 0.16) {
      const person = settled[Math.floor(random() * settled.length)] as Device
      plan(at(), () => acts.signIn({ ...person }, 'a password of last year'))
    }
  }

  // Somebody guesses the password of Margaret, for five minutes.
  for (let guess = 0; guess < 14; guess += 1) {
    const guesser = {
      username: 'margaret',
      agent: 'python-requests/2.32',
      ip: '198.51.100.77',
      signedInAt: 0,
      seenAt: 0,
    }
    plan(-27 * MINUTE + guess * 21 * SECOND, () => acts.signIn(guesser, `margaret${1950 + guess}`))
  }
  // A copy of a refresh token of Dennis is used, so his session ends.
  const dennis = settled.find(({ username }) => username === 'dennis') as Device
  plan(-19.4 * MINUTE, async () => {
    const copy = dennis.refresh
    for (const _ of [1, 2]) await acts.refresh(dennis)
    await acts.refresh({ ...dennis, ip: '198.51.100.77' }, copy)
  })
  // Alan lost his phone.
  plan(-41 * MINUTE, () => acts.signOutEverywhere(settled.find(({ username }) => username === 'alan') as Device))
  // What administrators did.
  plan(-34 * MINUTE, () => acts.setRoles('edsger', ['editor']))
  plan(-12.5 * MINUTE, () => acts.end(settled.find(({ username }) => username === 'hedy') as Device))
  plan(-6.2 * MINUTE, () => acts.disable('niklaus'))

  events.sort((one, other) => one.at - other.at)
  return { devices, events }
}

/** The same numbers for the same seed, so the picture in the README can be made again (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
