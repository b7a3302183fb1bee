import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import tap, { test } from 'tap'
import { eventually } from '../support/eventually.js'
import { copyManifests, render } from '../support/kustomize.js'
import { manifestFaults } from '../support/manifest-types.js'
import { named, podSecurityFaults, pods } from '../support/references.js'
import { SIDECAR } from '../support/sidecar.js'

// biome-ignore lint/suspicious/noExplicitAny: manifests are of every shape; their types are checked by the compiler
type Any = any

const folder = copyManifests(tap)

/** An overlay with these files, rendered. */
function renderOverlay(name: string, files: Record<string, string>) {
  const overlay = join(folder, 'overlays', name)
  mkdirSync(overlay)
  for (const [file, text] of Object.entries(files)) writeFileSync(join(overlay, file), text)
  return render(overlay)
}

const KUSTOMIZATION = 'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n'

test('cluster-issuer gives Latchkey a token and the authority of the API server, and lets it call the API server', async (t) => {
  const manifests = renderOverlay('cluster', {
    'kustomization.yaml': `${KUSTOMIZATION}resources: [../production]\ncomponents: [../../components/cluster-issuer]\n`,
  })
  t.strictSame(manifestFaults(manifests), [])
  for (const { owner, spec } of pods(manifests)) t.strictSame(podSecurityFaults(spec), [], owner)
  const { spec } = (named(manifests, 'Deployment', 'latchkey') as Any).spec.template
  const { sources } = spec.volumes.find(({ name }: Any) => name === 'cluster-issuer').projected
  t.match(sources, [
    { serviceAccountToken: { path: 'token', audience: undefined } },
    { configMap: { name: 'kube-root-ca.crt', items: [{ path: 'ca.crt' }] } },
  ])
  const mounts = spec.containers[0].volumeMounts.map(({ mountPath }: Any) => mountPath)
  t.strictSame(mounts.sort(), ['/run/secrets/cluster', '/run/secrets/latchkey'], 'the mount of the secrets stays')
  const ports = (named(manifests, 'NetworkPolicy', 'latchkey') as Any).spec.egress.flatMap(({ ports }: Any) => ports)
  t.ok(ports.some(({ port }: Any) => port === 443) && ports.some(({ port }: Any) => port === 6443))
})

test('workload-identity gives an application a token for Latchkey, and no other', async (t) => {
  const manifests = renderOverlay('application', {
    'kustomization.yaml': `${KUSTOMIZATION}resources: [app.yaml]\ncomponents: [../../components/workload-identity]\n`,
    'app.yaml': `apiVersion: apps/v1
kind: Deployment
metadata: { name: application }
spec:
  selector: { matchLabels: { app: application } }
  template:
    metadata: { labels: { app: application } }
    spec:
      automountServiceAccountToken: false
      containers: [{ name: application, image: application, volumeMounts: [{ name: data, mountPath: /data }] }]
      volumes: [{ name: data, emptyDir: {} }]
`,
  })
  t.strictSame(manifestFaults(manifests), [])
  const { spec } = (named(manifests, 'Deployment', 'application') as Any).spec.template
  const { sources } = spec.volumes.find(({ name }: Any) => name === 'latchkey-token').projected
  t.strictSame(sources, [
    { serviceAccountToken: { path: 'token', audience: 'https://auth.example.com', expirationSeconds: 3600 } },
  ])
  const [{ env, volumeMounts }] = spec.containers
  const { mountPath } = volumeMounts.find(({ name }: Any) => name === 'latchkey-token')
  t.strictSame(env, [{ name: 'CLIENT_ASSERTION_FILE', value: `${mountPath}/token` }])
  t.ok(
    volumeMounts.some(({ name }: Any) => name === 'data'),
    'what the application had is still there',
  )
})

test('sidecar-workload-identity replaces the secret of the sidecar by a token for Latchkey', async (t) => {
  const manifests = renderOverlay('without-secret', {
    'kustomization.yaml': `${KUSTOMIZATION}resources: [app.yaml]
components: [../../components/sidecar, ../../components/sidecar-workload-identity]
`,
    'app.yaml': `apiVersion: apps/v1
kind: Deployment
metadata: { name: billing, labels: { latchkey.io/sidecar: enabled } }
spec:
  selector: { matchLabels: { app: billing } }
  template:
    metadata: { labels: { app: billing } }
    spec:
      serviceAccountName: billing
      containers: [{ name: billing, image: billing, volumeMounts: [{ name: data, mountPath: /data }] }]
      volumes: [{ name: data, emptyDir: {} }]
`,
  })
  t.strictSame(manifestFaults(manifests), [])
  const { spec } = (named(manifests, 'Deployment', 'billing') as Any).spec.template
  t.strictSame(spec.volumes.map(({ name }: Any) => name).sort(), ['data', 'latchkey-sidecar-token'])
  const { sources } = spec.volumes.find(({ name }: Any) => name === 'latchkey-sidecar-token').projected
  t.strictSame(sources, [
    { serviceAccountToken: { path: 'token', audience: 'https://auth.example.com', expirationSeconds: 3600 } },
  ])
  const sidecar = spec.containers.find(({ name }: Any) => name === 'latchkey-sidecar')
  t.strictSame(sidecar.volumeMounts, [
    { name: 'latchkey-sidecar-token', mountPath: '/run/secrets/latchkey-sidecar-token', readOnly: true },
  ])
  // The sidecar takes exactly these settings.
  const env = Object.fromEntries(sidecar.env.map(({ name, value }: Any) => [name, value]))
  t.equal(env.CLIENT_ASSERTION_FILE, '/run/secrets/latchkey-sidecar-token/token')
  t.equal(env.CLIENT_ID, 'billing')
  const child = spawn(process.execPath, [SIDECAR], { env: { ...env, PORT: '0' } })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  child.stderr.on('data', (chunk) => (output += chunk))
  await eventually(() => output.includes('listens on'))
  t.notMatch(JSON.stringify(manifests), /secretKeyRef|secretName/)
})
