import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'tap'
import { parseAllDocuments } from 'yaml'
import { readPage } from '../pages.js'
import { uncomment } from '../support/gateways/edges.js'
import { exampleUrl } from '../support/gateways/program.js'
import { IDENTITY } from '../support/gateways/rules.js'
import { startService } from '../support/service.js'

// Gateways that cannot run here: their files are read.

const files = readdirSync(exampleUrl('.'))
const recipes = files.filter((file) => file.endsWith('.yaml'))
const readExample = (file: string) => readFileSync(exampleUrl(file), 'utf8')

/** Every member in a parsed YAML document, with its path: `spec.extAuth.failOpen`. */
function membersOf(value: unknown, path = ''): [path: string, value: unknown][] {
  if (typeof value !== 'object' || value === null) return [[path, value]]
  if (Array.isArray(value)) return value.flatMap((each) => membersOf(each, path))
  return Object.entries(value).flatMap(([name, each]) => membersOf(each, path === '' ? name : `${path}.${name}`))
}

const parse = (text: string) =>
  parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw new Error(String(document.errors[0]))
    return document.toJS()
  })

test('every YAML file parses, as it is and with its lines for preflights', async (t) => {
  t.ok(recipes.length >= 7)
  for (const file of recipes) {
    const text = readExample(file)
    const before = membersOf(parse(text))
    t.ok(before.length > 4, file)
    if (uncomment(text) === text) continue
    const after = membersOf(parse(uncomment(text)))
    t.ok(after.length > before.length, `${file}: the lines for preflights say something`)
    for (const [path, value] of before) {
      t.ok(
        after.some(([other, same]) => other === path && same === value),
        `${file}: ${path} stays`,
      )
    }
  }
})

test('the YAML blocks of the page parse', async (t) => {
  const blocks = [...readPage('docs/gateways.md').matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, block]) => block ?? '')
  t.ok(blocks.length > recipes.length)
  for (const block of blocks) t.ok(parse(block.replace(/^ *# ….*$/gm, '')).length > 0)
})

test('a file that names an identity header names all of them, in each list', async (t) => {
  // A gateway overwrites only what its list has. So a forgotten header could be forged.
  const counts = Object.fromEntries(
    files.map((file) => {
      const text = uncomment(readExample(file))
        .replace(/(^|\s)(#|--) .*$/gm, '')
        .toLowerCase()
      return [file, new Set(IDENTITY.map((name) => text.split(new RegExp(`(?<![\\w-])${name}(?![\\w-])`)).length - 1))]
    }),
  )
  for (const file of recipes.filter((each) => each !== 'traefik.yaml')) {
    t.equal(counts[file]?.size, 1, `${file}: each header equally often`)
    t.notOk(counts[file]?.has(0), file)
  }
})

test('no recipe admits a request while Latchkey does not answer', async (t) => {
  const open = ['failure_mode_allow', 'failOpen', 'allow_degradation']
  for (const file of recipes) {
    for (const [path, value] of parse(readExample(file)).flatMap((document) => membersOf(document))) {
      if (open.some((name) => path.endsWith(name))) t.equal(value, false, `${file}: ${path}`)
    }
  }
})

test('the recipes for Kubernetes have only fields that the definitions of their kinds know', async (t) => {
  // From Gateway API 1.4 (experimental), Envoy Gateway 1.5 and Istio 1.28.
  const metadata = ['apiVersion', 'kind', 'metadata.name', 'metadata.namespace']
  const target = ['group', 'kind', 'name'].map((name) => `spec.targetRefs.${name}`)
  const known: Record<string, string[]> = {
    HTTPRoute: [
      'spec.parentRefs.name',
      'spec.hostnames',
      ...['method', 'headers.name', 'headers.type', 'headers.value'].map((name) => `spec.rules.matches.${name}`),
      'spec.rules.filters.type',
      'spec.rules.filters.requestHeaderModifier.remove',
      ...['protocol', 'backendRef.name', 'backendRef.namespace', 'backendRef.port'],
      ...['http.path', 'http.allowedResponseHeaders'],
      ...['name', 'port'].map((name) => `spec.rules.backendRefs.${name}`),
    ].map((name) => (/^(protocol|backendRef\.|http\.)/.test(name) ? `spec.rules.filters.externalAuth.${name}` : name)),
    ReferenceGrant: [
      ...['group', 'kind', 'namespace'].map((name) => `spec.from.${name}`),
      ...['group', 'kind', 'name'].map((name) => `spec.to.${name}`),
    ],
    SecurityPolicy: [
      ...target,
      ...['allowOrigins', 'allowMethods', 'allowHeaders'].map((name) => `spec.cors.${name}`),
      ...['failOpen', 'headersToExtAuth'].map((name) => `spec.extAuth.${name}`),
      ...['name', 'namespace', 'port'].map((name) => `spec.extAuth.http.backendRefs.${name}`),
      ...['path', 'headersToBackend', 'backendSettings.timeout.http.connectionIdleTimeout'].map(
        (name) => `spec.extAuth.http.${name}`,
      ),
    ],
    ClientTrafficPolicy: [...target, 'spec.headers.withUnderscoresAction'],
    AuthorizationPolicy: ['spec.selector.matchLabels.istio', 'spec.action', 'spec.provider.name'],
    DestinationRule: ['spec.host', 'spec.trafficPolicy.connectionPool.http.idleTimeout'],
    IstioOperator: [
      'name',
      ...['service', 'port', 'pathPrefix', 'timeout', 'includeRequestHeadersInCheck', 'headersToUpstreamOnAllow'],
      ...['headersToDownstreamOnDeny', 'failOpen', 'statusOnError'],
    ].map((name) => `spec.meshConfig.extensionProviders.${name === 'name' ? name : `envoyExtAuthzHttp.${name}`}`),
  }
  const seen = new Set<string>()
  for (const file of ['gateway-api.yaml', 'envoy-gateway.yaml', 'istio.yaml']) {
    for (const document of parse(uncomment(readExample(file)))) {
      const names = known[document.kind]
      if (!names) continue
      seen.add(document.kind)
      const unknown = membersOf(document).filter(([path]) => ![...metadata, ...names].includes(path))
      t.strictSame(unknown, [], `${file}: ${document.kind}`)
    }
  }
  t.strictSame([...seen].sort(), Object.keys(known).sort())
})

test('each gateway closes idle connections before the service does', async (t) => {
  const { api } = await startService(t, 'sqlite')
  const { headers } = await api.call('/verify')
  const limit = Number(/timeout=(\d+)/.exec(String(headers['keep-alive']))?.[1])
  t.equal(limit, 72, 'seconds, as the examples say')
  const idleTimes: Record<string, RegExp> = {
    'nginx.conf': /^ +keepalive_timeout (\d+)s;/gm,
    Caddyfile: /^\t+keepalive (\d+)s$/gm,
    'envoy.yaml': /idle_timeout: (\d+)s/g,
    'envoy-gateway.yaml': /connectionIdleTimeout: (\d+)s/g,
    'istio.yaml': /idleTimeout: (\d+)s/g,
    'kong.yaml': /keepalive_timeout = (\d+)000,/g,
    'apisix.yaml': /keepalive_timeout: (\d+)000$/gm,
  }
  for (const [file, pattern] of Object.entries(idleTimes)) {
    const times = [...readExample(file).matchAll(pattern)].map(([, seconds]) => Number(seconds))
    t.ok(times.length > 0, file)
    for (const seconds of times) t.ok(seconds > 0 && seconds <= limit - 10, `${file}: ${seconds} s`)
  }
})
