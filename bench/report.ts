import { cpus } from 'node:os'
import { readVersion } from '../src/version.js'
import type { LocalVerification } from './follow-cost.js'
import type { Footprint } from './footprint.js'
import type { Growth } from './growth.js'
import type { Storm } from './login-storm.js'
import type { Summary } from './measure.js'
import type { RequestFigure, Requests } from './requests.js'
import type { SignIns } from './sign-in.js'

export interface Results {
  requests: Requests
  signIns: SignIns
  storm: Storm
  local: LocalVerification
  footprint: Footprint
  growth: Growth
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
export function page(results: Results): string {
  const { requests, signIns, storm, local, footprint, growth, seconds } = results
  const cost = (name: string) => figureOf(results, name, 'bare route').ours.median
  const [first, ...more] = growth.sessions
  const last = more.at(-1) ?? first
  const growing = ((last?.ratio.median ?? 0) / (first?.ratio.median ?? 1)).toFixed(2)
  const perSession = footprint.redis[0]?.bytes ?? Number.NaN

  return `# Performance

<!-- Written by \`npm run bench\`. -->

Latchkey ${readVersion()}, ${new Date().toISOString().slice(0, 10)}: Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim()}, Redis and the load on loopback. The bench took ${thousands(seconds)} s.

These machines are noisy: what counts is the ratio of two servers that are measured in turns, A B A B …, one kind after the
other and then all of them again: its median and, in brackets, its lowest and highest round. The figure is the **CPU time that the server used for a request**, user and system, by
the operating system's account; the server on one core, the load and Redis on the other, 50 connections, 2,000 different
tokens. The service runs as in production, with client authentication, schemas, metrics and the audit log. The yardstick is a
*bare Fastify route* that takes the same form and gives the same answer, with schemas, and does nothing.

![CPU time a request](performance.svg)

## Requests

| | µs of CPU | against | µs | ratio |
| --- | --- | --- | --- | --- |
${rows(requests.figures.map(({ name, against, ours, theirs, ratio }) => [name, fixed(ours.median), against, fixed(theirs.median), spread(ratio, 2)]))}

## Sign-in

As it runs by default on two cores (one password at a time, and the other core for the rest, here with Redis and the load) it
signs ${spread(signIns.beside.ours, 0)} people in a second; argon2id alone (19 MiB, 2 passes), one at a time too, checks ${spread(signIns.beside.theirs, 0)} passwords:
ratio ${spread(signIns.beside.ratio, 2)}. With everything on the one core that hashes: ${spread(signIns.within.ours, 0)} and ${spread(signIns.within.theirs, 0)}, ratio ${spread(signIns.within.ratio, 2)}.

In a storm of 100 connections that sign in as fast as they are answered, introspection at a fixed 200 a second has a 99th
percentile of ${spread(storm.ours, 2)} ms; with nothing else to do, of ${spread(storm.theirs, 2)} ms: ratio ${spread(storm.ratio, 2)}. Of
${thousands(storm.asked)} introspections ${storm.failed} failed; of the sign-ins ${thousands(storm.accepted)} were accepted, and ${thousands(storm.busy)} answered 503, each with
\`Retry-After\`.

## Verification in another service

\`@latchkey/verifier\`, µs of CPU a token, HS256:

| | |
| --- | --- |
| fast-jwt alone: the signature and nothing else | ${spread(local.bare, 2)} |
| \`follow\`, a token not seen before | ${spread(local.follow, 2)}, ratio ${spread(local.ratio, 2)} |
| \`follow\`, a token that comes again | ${spread(local.repeated, 2)} |
| \`lookup\`, 50 at once | ${spread(local.lookup, 2)} |

\`follow\` made ${local.lookUps} look-ups for ${thousands(local.verifications)} verifications. How fast a revocation arrives:
[verify-tokens](verify-tokens.md#what-follow-costs).

## What it takes

| | |
| --- | --- |
| from the start of the process until it is ready, embedded (SQLite) | ${spread(footprint.start, 0)} ms |
| resident memory, embedded, idle | ${spread(footprint.idle, 0)} MB |
| resident memory after all of the load above | ${fixed(requests.memory, 0)} MB |
${rows(footprint.redis.map(({ each, bytes }) => [`Redis, a session, with its index, ${each} a user`, `${fixed(bytes, 0)} bytes`]))}
| SQLite, a session | ${fixed(footprint.sqlite, 0)} bytes |

## Growth

Introspection, with so many sessions in Redis:

| sessions | Redis | µs of CPU | ratio to the bare route |
| --- | --- | --- | --- |
${rows(growth.sessions.map(({ count, megabytes, ours, ratio }) => [thousands(count), `${fixed(megabytes, 0)} MB`, fixed(ours.median), spread(ratio, 2)]))}

where a user has so many of them:

| sessions a user | µs of CPU | ratio to the bare route |
| --- | --- | --- |
${rows(growth.each.map(({ each, ours, ratio }) => [thousands(each), fixed(ours.median), spread(ratio, 2)]))}

One process answers ${thousands(growth.processes.one)} introspections a second; two, on this machine's two cores, which they
share with Redis and the load, ${thousands(growth.processes.two)}. What saturates first is the one core of each process: Redis
spends a few microseconds on a look-up, and look-ups of one turn of the event loop go together.

## Capacity

A core does one second of work a second. For a service that may use 60% of a core:

| | a second |
| --- | --- |
| introspections | ${thousands(600_000 / cost('introspect, live, form'))} |
| \`/verify\` | ${thousands(600_000 / cost('verify'))} |
| refreshes | ${thousands(600_000 / cost('refresh'))} |
| sign-outs | ${thousands(600_000 / cost('sign out'))} |
| sign-ins, on a core of their own (\`HASH_CONCURRENCY\` = cores − 1) | ${thousands(signIns.beside.ours.median)} |

A million sessions take ${thousands((perSession * 1e6) / 2 ** 20)} MB of Redis; set \`maxmemory\` to twice that, with
\`noeviction\`. A person with a token of 15 minutes who is active refreshes four times an hour: 10,000 of them are 11 refreshes a
second.

## Targets

| | target | measured | |
| --- | --- | --- | --- |
${rows(targets(results, Number(growing)))}
`
}

function figureOf({ requests }: Results, name: string, against: string): RequestFigure {
  const figure = requests.figures.find((one) => one.name === name && one.against === against)
  if (!figure) throw new Error(`nothing was measured of ${name} against ${against}`)
  return figure
}

function targets(results: Results, growing: number): string[][] {
  const { signIns, storm, local, footprint } = results
  const ratio = (name: string, against = 'bare route') => figureOf(results, name, against).ratio.median
  const row = (what: string, limit: string, value: number, isMet: boolean, digits = 2) => [
    what,
    limit,
    fixed(value, digits),
    isMet ? 'met' : '**missed**',
  ]
  const atMost = (what: string, unit: string, limit: number, value: number, digits = 2) =>
    row(what, `≤ ${limit}${unit}`, value, value <= limit, digits)
  const bytes = footprint.redis[0]?.bytes ?? Number.NaN
  return [
    atMost('introspection of a live token, by the bare route', '', 1, ratio('introspect, live, form')),
    atMost('the same, by oidc-provider', '', 0.2, ratio('introspect, live, form', 'oidc-provider')),
    atMost('refresh with rotation, by the bare route', '', 1.75, ratio('refresh')),
    atMost('the same, by oidc-provider', '', 0.17, ratio('refresh', 'oidc-provider')),
    row('sign-in, by argon2id alone', '≥ 0.95', signIns.beside.ratio.median, signIns.beside.ratio.median >= 0.95),
    atMost('introspection’s p99 in a storm of sign-ins, by that without', '', 3, storm.ratio.median),
    atMost('`follow`, by fast-jwt alone', '', 1.3, local.ratio.median),
    atMost('`follow`, a token that comes again', ' µs', 1.5, local.repeated.median),
    atMost('Redis, a session', ' bytes', 400, bytes, 0),
    atMost('start, embedded', ' ms', 700, footprint.start.median, 0),
    atMost('memory, idle', ' MB', 110, footprint.idle.median, 0),
    atMost('introspection with 1,000,000 sessions, by that with 10,000', '', 1.1, growing),
  ]
}

/** Bars of the CPU time a request, ours and others'. */
export function chart({ requests }: Results): string {
  const bars: { label: string; value: number; isOurs: boolean }[] = []
  for (const { name, against, ours, theirs } of requests.figures) {
    const isPeer = against === 'oidc-provider'
    if (!isPeer && bars.length === 0) bars.push({ label: 'bare Fastify route', value: theirs.median, isOurs: false })
    if (!isPeer) bars.push({ label: name, value: ours.median, isOurs: true })
    else bars.push({ label: `oidc-provider: ${name}`, value: theirs.median, isOurs: false })
  }
  const longest = Math.max(...bars.map(({ value }) => value))
  const lines = bars.map(({ label, value, isOurs }, i) => {
    const y = 34 + i * 24
    const width = (value / longest) * 430
    return `<text x="212" y="${y + 12}" text-anchor="end">${label}</text><rect x="220" y="${y}" width="${fixed(width)}" height="16" rx="3" fill="${isOurs ? '#0f766e' : '#94a3b8'}"/><text x="${fixed(226 + width)}" y="${y + 12}">${fixed(value, 0)}</text>`
  })
  const height = 44 + bars.length * 24
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 ${height}" width="700" height="${height}" font-family="system-ui, sans-serif" font-size="12" fill="#334155"><title>CPU time a request, in microseconds</title><rect width="700" height="${height}" fill="#ffffff"/><text x="220" y="20" font-weight="600">CPU time a request, µs (less is better)</text>${lines.join('')}</svg>
`
}
