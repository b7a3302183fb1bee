import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import tap, { test } from 'tap'
import { readConfig } from '../../src/config/read.js'
import { secretSettings, settings } from '../../src/config/settings.js'
import { eventually } from '../support/eventually.js'
import { copyManifests, type Manifest, render, root } from '../support/kustomize.js'
import { manifestFaults } from '../support/manifest-types.js'
import { danglingReferences, named, ofKind, podSecurityFaults, pods } from '../support/references.js'
import { startService } from '../support/service.js'
import { SIDECAR } from '../support/sidecar.js'

// biome-ignore lint/suspicious/noExplicitAny: manifests are of every shape; their types are checked by the compiler
type Any = any

const overlays = ['trial', 'production'] as const
type Overlay = (typeof overlays)[number]

const folder = copyManifests(tap)
const rendered = { trial: render(`${folder}/overlays/trial`), production: render(`${folder}/overlays/production`) }
/** Returns a copy that the test may change. */
const manifestsOf = (overlay: Overlay): Manifest[] => structuredClone(rendered[overlay])

for (const overlay of overlays) {
  test(`k8s/overlays/${overlay} renders, and Kubernetes knows each field`, async (t) => {
    const manifests = manifestsOf(overlay)
    t.ok(manifests.length >= 10)
    t.strictSame(manifestFaults(manifests), [])
    const names = manifests.map(({ kind, metadata }) => `${kind}/${metadata.name}`)
    t.equal(new Set(names).size, names.length, 'each is there once')
    for (const { kind, metadata } of manifests) {
      if (kind !== 'Namespace') t.equal(metadata.namespace, 'latchkey', `${kind} ${metadata.name} is in the namespace`)
    }
  })

  test(`k8s/overlays/${overlay}: every reference has a target`, async (t) => {
    const manifests = manifestsOf(overlay)
    t.strictSame(danglingReferences(manifests), [])
  })

  test(`k8s/overlays/${overlay}: every pod obeys the restricted Pod Security Standard`, async (t) => {
    const manifests = manifestsOf(overlay)
    t.equal(
      named(manifests, 'Namespace', 'latchkey')?.metadata.labels?.['pod-security.kubernetes.io/enforce'],
      'restricted',
    )
    for (const { owner, spec } of pods(manifests)) t.strictSame(podSecurityFaults(spec), [], owner)
  })

  test(`k8s/overlays/${overlay}: the service starts with the settings of its pod`, async (t) => {
    const manifests = manifestsOf(overlay)
    const { container, environment } = serviceOf(manifests)
    const known = [...Object.keys(settings), ...secretSettings.map((name) => `${name}_FILE`)]
    t.strictSame(
      Object.keys(environment).filter((name) => !known.includes(name)),
      [],
      'all are settings',
    )
    // The trial overlay has the files that production takes from its secrets, under the same names.
    const secrets = join(folder, 'overlays/trial/secrets')
    const here = Object.entries(environment).map(([name, value]) => [
      name,
      value.replace('/run/secrets/latchkey', secrets),
    ])
    const config = readConfig({ NODE_ENV: 'production', HOST: '0.0.0.0', ...Object.fromEntries(here) })
    const ports = Object.fromEntries(container.ports.map((port: Any) => [port.name, port.containerPort]))
    t.strictSame(ports, { http: config.port, management: config.managementPort })
  })
}

test('the termination grace period of a pod is longer than the drain', async (t) => {
  const { pod, container } = serviceOf(manifestsOf('production'))
  const source = readFileSync(join(root, 'src/server.ts'), 'utf8')
  const constant = (name: string) => {
    const digits = new RegExp(`const ${name} = ([\\d_]+)`).exec(source)?.[1]
    return Number(digits?.replaceAll('_', '')) / 1000
  }
  const preStop = Number(container.lifecycle.preStop.exec.command[1])
  t.ok(preStop >= 5)
  t.ok(pod.terminationGracePeriodSeconds >= preStop + constant('DRAIN_TIME') + constant('CLOSE_TIME') + 5)
})

test('probes ask the management port, and only readiness asks for a store: Redis', async (t) => {
  const { container } = serviceOf(manifestsOf('production'))
  t.match(container.startupProbe.httpGet, { path: '/livez', port: 'management' })
  t.match(container.livenessProbe.httpGet, { path: '/livez', port: 'management' })
  t.match(container.readinessProbe.httpGet, { path: '/readyz?exclude=database', port: 'management' })
})

test('the ingress serves the routes for people, and no route for services', async (t) => {
  const [ingress] = ofKind(manifestsOf('production'), 'Ingress')
  const served: { path: string; pathType: string }[] = ingress?.spec.rules[0].http.paths
  const isServed = (address: string) =>
    served.some(
      ({ path, pathType }) =>
        address === path || (pathType === 'Prefix' && address.startsWith(path === '/' ? '/' : `${path}/`)),
    )
  const { api } = await startService(t, 'sqlite', { DOCS: 'on' })
  const { paths } = (await api.call('/openapi.json')).body as {
    paths: Record<string, Record<string, { tags: string[] }>>
  }
  for (const [address, methods] of Object.entries(paths)) {
    const isForPeople = Object.values(methods).some(({ tags: [tag = ''] }) =>
      ['sessions', 'factors', 'users'].includes(tag),
    )
    t.equal(isServed(address), isForPeople || address.startsWith('/.well-known/'), address)
  }
  t.notOk(isServed('/metrics'))
})

test('each address of the service in a manifest or an example has the port and the namespace of its Service', (t) => {
  const [{ port }] = (named(manifestsOf('production'), 'Service', 'latchkey') as Any).spec.ports
  const files = ['k8s/components', 'examples/gateways'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.yaml'))
      .map((name) => join(folder, name)),
  )
  const found = files.flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8')
    return [
      // `http://latchkey.latchkey.svc`, or a name with its port in the next line; and a reference to the Service.
      ...text.matchAll(/latchkey\.(?<namespace>\w+)\.svc[a-z.]*(?::(?<port>\d+)|\n +port: (?<next>\d+))?/g),
      ...text.matchAll(/name: latchkey, namespace: (?<namespace>\w+), port: (?<port>\d+)/g),
    ].map(({ groups }) => ({ file, namespace: groups?.namespace, port: Number(groups?.port ?? groups?.next ?? 80) }))
  })
  t.ok(found.length >= 5)
  for (const each of found) t.strictSame(each, { file: each.file, namespace: 'latchkey', port })
  t.end()
})

test('each check finds a manifest with the fault that it checks for', async (t) => {
  const spoil = (change: (manifests: Manifest[], container: Any, pod: Any) => void) => {
    const manifests = manifestsOf('trial')
    const { container, pod } = serviceOf(manifests)
    change(manifests, container, pod)
    return manifests
  }
  t.match(manifestFaults(spoil((_all, container) => (container.livenesProbe = {}))), [
    /Deployment latchkey: .*livenesProbe/,
  ])
  t.match(manifestFaults(spoil((_all, _container, pod) => (pod.terminationGracePeriodSeconds = '30'))), [
    /not assignable/,
  ])
  t.match(manifestFaults(spoil((_all, container) => delete container.name)), [/name/])

  const dangling = (change: Parameters<typeof spoil>[0]) => danglingReferences(spoil(change))
  t.match(
    dangling((_all, container) => (container.envFrom[0].configMapRef.name = 'other')),
    [/ConfigMap other/],
  )
  t.match(
    dangling((_all, container) => (container.livenessProbe.httpGet.port = 'health')),
    [/port health/],
  )
  t.match(
    dangling((all) => ((named(all, 'Service', 'latchkey') as Manifest).spec.ports[0].targetPort = 'web')),
    [/port web/],
  )
  t.match(
    dangling(
      (all) => ((named(all, 'PodDisruptionBudget', 'latchkey') as Manifest).spec.selector.matchLabels = { a: 'b' }),
    ),
    [/selects no pod/],
  )
  t.match(
    dangling((_all, container) => (container.env[1].value = '/run/secrets/latchkey/other')),
    [/file .*other/],
  )
  t.match(
    dangling((_all, container) => (container.volumeMounts[0].name = 'other')),
    [/volume other/],
  )

  for (const change of [
    (container: Any) => delete container.securityContext.capabilities,
    (container: Any) => (container.securityContext.readOnlyRootFilesystem = false),
    (container: Any) => delete container.securityContext.allowPrivilegeEscalation,
    (container: Any) => delete container.resources.limits,
  ]) {
    const { container, pod } = serviceOf(manifestsOf('trial'))
    change(container)
    t.equal(podSecurityFaults(pod).length, 1)
  }
})

function serviceOf(manifests: Manifest[]) {
  const pod = named(manifests, 'Deployment', 'latchkey')?.spec.template.spec as Any
  const [container] = pod.containers
  const configMap = named(manifests, 'ConfigMap', container.envFrom[0].configMapRef.name)
  const own = container.env.map(({ name, value }: Any) => [name, value])
  return { pod, container, environment: { ...configMap?.data, ...Object.fromEntries(own) } as Record<string, string> }
}

test('k8s/components/sidecar adds the sidecar to the pods of an application, and to no other pod', async (t) => {
  const app = join(folder, 'overlays/app')
  mkdirSync(app)
  const deployment = (name: string, labels: object) => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, labels },
    spec: {
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'app', image: 'app' }] },
      },
    },
  })
  writeFileSync(
    join(app, 'kustomization.yaml'),
    JSON.stringify({
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: ['with.yaml', 'without.yaml'],
      components: ['../../components/sidecar'],
    }),
  )
  writeFileSync(join(app, 'with.yaml'), JSON.stringify(deployment('with', { 'latchkey.io/sidecar': 'enabled' })))
  writeFileSync(join(app, 'without.yaml'), JSON.stringify(deployment('without', {})))
  const manifests = render(app)
  t.strictSame(manifestFaults(manifests), [])
  const containers = (name: string) => named(manifests, 'Deployment', name)?.spec.template.spec.containers
  t.strictSame(
    containers('without').map((each: Any) => each.name),
    ['app'],
  )
  const sidecar = containers('with').find((each: Any) => each.name === 'latchkey-sidecar')
  t.ok(containers('with').some((each: Any) => each.name === 'app'))
  // The sidecar takes the settings of its container, and then waits for the service.
  const secret = join(folder, 'sidecar-secret')
  writeFileSync(secret, 'secret')
  const env = Object.fromEntries(sidecar.env.map(({ name, value = 'todo' }: Any) => [name, value]))
  const child = spawn(process.execPath, [SIDECAR], { env: { ...env, PORT: '0', CLIENT_SECRET_FILE: secret } })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  child.stderr.on('data', (chunk) => (output += chunk))
  await eventually(() => output.includes('is not ready'))
  t.match(output, /listens on/)
})

test('k8s/components/tls: the service has HTTPS, and so have its probes and its metrics', async (t) => {
  const overlay = join(folder, 'overlays', 'tls')
  mkdirSync(overlay)
  writeFileSync(
    join(overlay, 'kustomization.yaml'),
    'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../production]\n' +
      'components: [../../components/tls]\n',
  )
  const manifests = render(overlay)
  t.strictSame(manifestFaults(manifests), [])
  for (const { owner, spec } of pods(manifests)) t.strictSame(podSecurityFaults(spec), [], owner)
  const { spec } = (named(manifests, 'Deployment', 'latchkey') as Any).spec.template
  const [container] = spec.containers
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
    t.match(container[probe].httpGet, { scheme: 'HTTPS', path: /z/, port: 'management' }, probe)
  }
  const { secret } = spec.volumes.find(({ name }: Any) => name === 'tls')
  const mount = container.volumeMounts.find(({ name }: Any) => name === 'tls')
  t.equal(secret.secretName, 'latchkey-tls')
  for (const name of ['TLS_CERT_FILE', 'TLS_KEY_FILE']) {
    const { value } = container.env.find((each: Any) => each.name === name)
    t.ok(value.startsWith(`${mount.mountPath}/tls.`), name)
  }
  t.match((named(manifests, 'ServiceMonitor', 'latchkey') as Any).spec.endpoints, [
    { scheme: 'https', path: '/metrics' },
  ])
})
