import { cpus } from 'node:os'
import { readVersion } from '../src/version.js'
import type { LocalVerification } from './follow-cost.js'
import type { Footprint } from './footprint.js'
import type { Growth } from './growth.js'
import type { Storm } from './login-storm.js'
import type { Summary } from './measure.js'
import type { RequestFigure, Requests } from './requests.js'
import type { Revocations, Window } from './revocations.js'
import type { SidecarCost } from './sidecar.js'
import type { SignIns } from './sign-in.js'

export interface Results {
  requests: Requests
  signIns: SignIns
  storm: Storm
  local: LocalVerification
  footprint: Footprint
  growth: Growth
  sidecar: SidecarCost
  revocations: readonly Revocations[]
  seconds: number
}

const fixed = (value: number, digits = 1) => value.toFixed(digits)
const spread = ({ median, low, high }: Summary, digits = 1) =>
  `${fixed(median, digits)} (${fixed(low, digits)}–${fixed(high, digits)})`
const thousands = (value: number) => Math.round(value).toLocaleString('en')
const rows = (lines: readonly (readonly string[])[]) => lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')

/** One line for a terminal. */
export function describeRequest({ name, against, ours, theirs, ratio }: RequestFigure): string {
  return `${name.padEnd(24)} ${fixed(ours.median).padStart(6)} µs, ${against} ${fixed(theirs.median)} µs: ${spread(ratio, 2)}`
}

/** docs/performance.md. */
export function performancePage(results: Results): string {
  const { requests, signIns, storm, local, footprint, growth, sidecar, revocations, seconds } = results
  const cost = (name: string) => figureOf(results, name, 'bare route').ours.median
  const [first, ...more] = growth.sessions
  const last = more.at(-1) ?? first
  const growing = ((last?.ratio.median ?? 0) / (first?.ratio.median ?? 1)).toFixed(2)
  const perSession = footprint.redis[0]?.bytes ?? Number.NaN
  const introspection = cost('introspect, live, form')
  const ofRedis = requests.redis.find(({ name }) => name === 'introspect, live, form')?.cpu ?? Number.NaN

  return `# Performance

<!-- Written by \`npm run bench\`. -->

After this page you know what a request costs, how many requests a core serves, and how the cost grows with the sessions.

Measured: Latchkey ${readVersion()}, ${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim()}, Redis and the load on loopback. The bench took ${thousands(seconds)} s.

Each figure is the **CPU time of the server for one request**, user and system, as the operating system counts it. The server
runs on one core. The load and Redis run on the other, with 50 connections and 2,000 different tokens. The service runs as in
production, with client authentication, schemas, metrics and the audit log. The baseline is a *bare Fastify route* with schemas
that takes the same form, gives the same answer, and does nothing else.

The machine is noisy, so compare the ratios. The bench measures two servers in turns, A B A B …, and repeats all kinds of request
in rounds. A figure is the median of the rounds, with the lowest and the highest in brackets.

![CPU time of a request](performance.svg)

## Requests

| | µs of CPU | against | µs | ratio |
| --- | --- | --- | --- | --- |
${rows(requests.figures.map(({ name, against, ours, theirs, ratio }) => [name, fixed(ours.median), against, fixed(theirs.median), spread(ratio, 2)]))}

Other servers do the same work on the same machine: oidc-provider and better-auth (\`get-session\`) with the same Redis, and
glewlwyd with SQLite where it is installed.

## Sign-in

argon2id alone (19 MiB, 2 passes) checks one password at a time. The service runs in two settings:

| setting | sign-ins a second | argon2id alone | ratio |
| --- | --- | --- | --- |
| the default on two cores: one core hashes, the other runs the service, Redis and the load | ${spread(signIns.beside.ours, 0)} | ${spread(signIns.beside.theirs, 0)} | ${spread(signIns.beside.ratio, 2)} |
| everything on the core that hashes | ${spread(signIns.within.ours, 0)} | ${spread(signIns.within.theirs, 0)} | ${spread(signIns.within.ratio, 2)} |

In a storm, 100 connections sign in as fast as they get answers. Meanwhile 200 introspections a second have a 99th percentile of
${spread(storm.ours, 2)} ms. Without the storm it is ${spread(storm.theirs, 2)} ms, ratio ${spread(storm.ratio, 2)}. Of ${thousands(storm.asked)} introspections ${storm.failed} failed. Of the sign-ins ${thousands(storm.accepted)} were
accepted, and ${thousands(storm.busy)} got 503 with \`Retry-After\`.

## Verification in another service

\`@latchkey/verifier\`, HS256:

| | µs of CPU for a token |
| --- | --- |
| fast-jwt alone, only the signature | ${spread(local.bare, 2)} |
| \`follow\`, a new token | ${spread(local.follow, 2)}, ratio ${spread(local.ratio, 2)} |
| \`follow\`, a repeated token | ${spread(local.repeated, 2)} |
| \`lookup\`, 50 in flight | ${spread(local.lookup, 2)} |

\`follow\` made ${local.lookUps} look-ups for ${thousands(local.verifications)} verifications.
[Verifying tokens](verify-tokens.md#what-follow-costs) says how fast a revocation arrives over Redis.

The sidecar answers \`/verify\` from memory in ${spread(sidecar.sidecar)} µs of CPU, and the bare Fastify route takes ${spread(sidecar.bare)} µs. One core
answers ${thousands(sidecar.throughput.median)} requests a second.

## Revocations over HTTP

1,000 people a minute sign out, and ten followers poll \`GET /revocations\`. This is the time from the 204 until a follower has the
revocation. 0 ms means that the follower had it before the caller got the 204:

| store | p50 | p99 | highest |
| --- | --- | --- | --- |
${rows(revocations.flatMap(({ store, latency }) => (latency ? [[storeName(store), ...[latency.p50, latency.p99, latency.max].map((ms) => `${fixed(ms)} ms`)]] : [])))}

Many followers of one instance, each of which polls four times a second. Beside them, 200 introspections a second are measured:

| store | followers | cores of the instance | with 1,000 sign-outs a minute | introspection’s p99 without followers | with followers | memory |
| --- | --- | --- | --- | --- | --- | --- |
${rows(revocations.flatMap(({ store, load }) => (load ? [[storeName(store), thousands(load.followers), fixed(load.cores, 2), fixed(load.coresWithRevocations, 2), `${fixed(load.introspectionP99.idle, 2)} ms`, `${fixed(load.introspectionP99.busy, 2)} ms`, `${fixed(load.memory, 0)} MB`]] : [])))}

${revocations.flatMap(({ store, window }) => (window ? [describeWindow(store, window)] : [])).join('\n\n')}

## Start, memory and size of a session

| | |
| --- | --- |
| start of the process until it is ready, embedded (SQLite) | ${spread(footprint.start, 0)} ms |
| resident memory, embedded, idle | ${spread(footprint.idle, 0)} MB |
| resident memory after the load above | ${fixed(requests.memory, 0)} MB |
${rows(footprint.redis.map(({ each, bytes }) => [`Redis, a session with its index, ${each} for each user`, `${fixed(bytes, 0)} bytes`]))}
| SQLite, a session | ${fixed(footprint.sqlite, 0)} bytes |

## Growth

Introspection by the number of sessions in Redis:

| sessions | Redis | µs of CPU | ratio to the bare route |
| --- | --- | --- | --- |
${rows(growth.sessions.map(({ count, megabytes, ours, ratio }) => [thousands(count), `${fixed(megabytes, 0)} MB`, fixed(ours.median), spread(ratio, 2)]))}

Introspection by the number of sessions for each user:

| sessions for each user | µs of CPU | ratio to the bare route |
| --- | --- | --- |
${rows(growth.each.map(({ each, ours, ratio }) => [thousands(each), fixed(ours.median), spread(ratio, 2)]))}

Introspection by the number of processes, which share ${cpus().length} cores with Redis and the load:

| processes | introspections a second | µs of CPU of a process | µs of CPU of Redis |
| --- | --- | --- | --- |
${rows(growth.processes.map(({ count, throughput, cpu, redis }) => [String(count), thousands(throughput), fixed(cpu), fixed(redis)]))}

The core of a process saturates first. Redis needs less for a look-up when more look-ups arrive in one tick of the event loop,
because they are one command.

## Capacity

A service that may use 60% of a core serves:

| | a second |
| --- | --- |
| introspections | ${thousands(600_000 / cost('introspect, live, form'))} |
| \`/verify\` | ${thousands(600_000 / cost('verify'))} |
| refreshes | ${thousands(600_000 / cost('refresh'))} |
| sign-outs | ${thousands(600_000 / cost('sign out'))} |
| sign-ins, on a core of their own (\`HASH_CONCURRENCY\` = cores − 1) | ${thousands(signIns.beside.ours.median)} |

Redis uses this much CPU time for a request:

| | µs |
| --- | --- |
${rows(requests.redis.map(({ name, cpu }) => [name, fixed(cpu)]))}

Size a deployment from these two figures. With ${fixed(introspection)} µs of an instance and ${fixed(ofRedis)} µs of Redis for an introspection, and at
most 60% of each core:

| introspections a second | instances: rate × ${fixed(introspection)} µs ÷ 0.6 | Redis: rate × ${fixed(ofRedis)} µs ÷ 0.6 |
| --- | --- | --- |
${rows([10_000, 100_000, 1_000_000].map((rate) => [thousands(rate), String(coresFor(rate, introspection)), describeRedis(coresFor(rate, ofRedis))]))}

Followers and the sidecar take most of this load away: while its feed is fresh, a verifier asks nothing for a token. A follower
over HTTP asks four times a second, whatever its own rate is.

A million sessions take ${thousands((perSession * 1e6) / 2 ** 20)} MB of Redis if each is the only one of its person. Set \`maxmemory\` to twice that, with
\`noeviction\`. An active person refreshes four times an hour with tokens of 15 minutes, so 10,000 people cause 11 refreshes a
second.

## Targets

| | target | measured | |
| --- | --- | --- | --- |
${rows(targets(results, Number(growing)))}
`
}

const storeName = (store: string) => ({ sqlite: 'SQLite', redis: 'Redis', postgres: 'Postgres' })[store] ?? store

function describeWindow(store: string, window: Window): string {
  const { entries, serviceStart, follower, serviceCpuSeconds, serviceMemory } = window
  return `With ${thousands(entries)} revocations in ${storeName(store)}, an instance is ready ${fixed(serviceStart, 2)} s after its start. A new follower reads all of them
in ${fixed(follower.seconds)} s, and needs ${follower.heap} MB of heap for them. Its event loop
stands still for at most ${follower.pause} ms. The instance uses ${fixed(serviceCpuSeconds)} s of CPU for this follower. Its own memory
rises by ${serviceMemory.highest - serviceMemory.before} MB, to ${serviceMemory.highest} MB.`
}

function figureOf({ requests }: Results, name: string, against: string): RequestFigure {
  const figure = requests.figures.find((one) => one.name === name && one.against === against)
  if (!figure) throw new Error(`there is no figure for ${name} against ${against}`)
  return figure
}

function targets(results: Results, growing: number): string[][] {
  const { signIns, storm, local, footprint } = results
  const ratio = (name: string, against = 'bare route') => figureOf(results, name, against).ratio.median
  const row = (what: string, limit: string, value: number, miss: number, digits: number) => [
    what,
    limit,
    fixed(value, digits),
    miss <= 0 ? 'met' : `**missed** by ${fixed(miss * 100, 0)}%`,
  ]
  const atMost = (what: string, unit: string, limit: number, value: number, digits = 2) =>
    row(what, `≤ ${limit}${unit}`, value, value / limit - 1, digits)
  const atLeast = (what: string, limit: number, value: number) => row(what, `≥ ${limit}`, value, 1 - value / limit, 2)
  const ofStore = (name: string) => results.revocations.find(({ store }) => store === name)
  const p99Of = (name: string) => ofStore(name)?.latency?.p99 ?? Number.NaN
  const coresOf = Math.max(...results.revocations.map(({ load }) => load?.cores ?? Number.NaN))
  const bytesOf = (each: number) => footprint.redis.find((one) => one.each === each)?.bytes ?? Number.NaN
  return [
    atMost('introspection of a live token / the bare route', '', 1.1, ratio('introspect, live, form')),
    atMost('introspection of a live token / oidc-provider', '', 0.15, ratio('introspect, live, form', 'oidc-provider')),
    atMost('`/verify` / the bare route', '', 0.95, ratio('verify')),
    atMost('refresh with rotation / the bare route', '', 2, ratio('refresh')),
    atMost('refresh with rotation / oidc-provider', '', 0.15, ratio('refresh', 'oidc-provider')),
    atLeast('sign-in / argon2id alone, on two cores', 0.95, signIns.beside.ratio.median),
    atLeast('sign-in / argon2id alone, on one core', 0.88, signIns.within.ratio.median),
    atMost('introspection’s p99 in a storm of sign-ins / without the storm', '', 3, storm.ratio.median),
    atMost('`follow` / fast-jwt alone', '', 1.2, local.ratio.median),
    atMost('`follow`, a repeated token', ' µs', 1, local.repeated.median),
    atMost('a sign-out reaches 10 followers over HTTP, p99, SQLite', ' ms', 50, p99Of('sqlite'), 1),
    atMost('a sign-out reaches 10 followers over HTTP, p99, Redis', ' ms', 50, p99Of('redis'), 1),
    atMost('a sign-out reaches 10 followers over HTTP, p99, Postgres', ' ms', 150, p99Of('postgres'), 1),
    atMost('1,000 followers of one instance', ' cores', 0.33, coresOf),
    atLeast('the sidecar, requests a second on one core', 15_000, results.sidecar.throughput.median),
    atMost('Redis, a session, 10 for each user', ' bytes', 400, bytesOf(10), 0),
    atMost('Redis, a session, 1 for each user', ' bytes', 600, bytesOf(1), 0),
    atMost('start, embedded', ' ms', 1000, footprint.start.median, 0),
    atMost('memory, idle', ' MB', 120, footprint.idle.median, 0),
    atMost('introspection with 1,000,000 sessions / with 10,000', '', 1.1, growing),
  ]
}

/** Cores, of which at most 60% are used, for so many requests a second of so many microseconds. */
const coresFor = (rate: number, microseconds: number) => Math.ceil((rate * microseconds) / 600_000)

const describeRedis = (cores: number) => (cores <= 1 ? 'one' : `a cluster of ${cores}`)

/** A bar chart of the CPU time of each request, ours and the other servers'. */
export function cpuChart({ requests }: Results): string {
  const bars: { label: string; value: number; isOurs: boolean }[] = []
  for (const { name, against, ours, theirs } of requests.figures) {
    const isPeer = against !== 'bare route'
    if (!isPeer && bars.length === 0) bars.push({ label: 'bare Fastify route', value: theirs.median, isOurs: false })
    if (!isPeer) bars.push({ label: name, value: ours.median, isOurs: true })
    // The longest bar would make ours too short to compare.
    else if (name !== 'client credentials')
      bars.push({ label: `${against}: ${name}`, value: theirs.median, isOurs: false })
  }
  const longest = Math.max(...bars.map(({ value }) => value))
  const lines = bars.map(({ label, value, isOurs }, i) => {
    const y = 34 + i * 24
    const width = (value / longest) * 430
    return `<text x="212" y="${y + 12}" text-anchor="end">${label}</text><rect x="220" y="${y}" width="${fixed(width)}" height="16" rx="3" fill="${isOurs ? '#0f766e' : '#94a3b8'}"/><text x="${fixed(226 + width)}" y="${y + 12}">${fixed(value, 0)}</text>`
  })
  const height = 44 + bars.length * 24
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 ${height}" width="700" height="${height}" font-family="system-ui, sans-serif" font-size="12" fill="#334155"><title>CPU time of a request, in microseconds</title><rect width="700" height="${height}" fill="#ffffff"/><text x="220" y="20" font-weight="600">CPU time of a request, µs (less is better)</text>${lines.join('')}</svg>
`
}
