import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Manifest, root } from './kustomize.js'

// biome-ignore lint/suspicious/noExplicitAny: manifests of different kinds share no shape, and `manifest-types.ts` has the compiler check each
type Any = any

export const ofKind = (manifests: Manifest[], ...kinds: string[]) =>
  manifests.filter(({ kind }) => kinds.includes(kind))
export const named = (manifests: Manifest[], kind: string, name: string) =>
  ofKind(manifests, kind).find(({ metadata }) => metadata.name === name)
/** Each pod template with its owner. */
export const pods = (manifests: Manifest[]): { owner: string; labels: Record<string, string>; spec: Any }[] =>
  ofKind(manifests, 'Deployment', 'StatefulSet', 'Job').map(({ kind, metadata, spec }) => ({
    owner: `${kind} ${metadata.name}`,
    labels: spec.template.metadata.labels,
    spec: spec.template.spec,
  }))
const isSelected = (labels: Record<string, string>, selector: Record<string, string>) =>
  Object.entries(selector).every(([name, value]) => labels[name] === value)

/** Secrets that operators create, and that are not rendered. docs/operate.md describes the first. */
const GIVEN = { latchkey: secretKeysOfTheManual(), 'auth-example-com-tls': ['tls.crt', 'tls.key'] }

function secretKeysOfTheManual(): string[] {
  const page = readFileSync(join(root, 'docs/operate.md'), 'utf8')
  const command = /kubectl create secret generic latchkey((?:.*\\\n)*.*)/.exec(page)?.[1] ?? ''
  return [...command.matchAll(/--from-file=(?:[^=\s]*\/)?([\w.-]+)/g)].map(([, key = '']) => key)
}

/** The demands of the standard, and two more: a read-only root and a memory limit. */
export function podSecurityFaults(pod: Any): string[] {
  const faults: string[] = []
  const demand = (isSo: boolean, what: string) => isSo || faults.push(what)
  demand(pod.securityContext?.runAsNonRoot === true, 'runAsNonRoot')
  demand(pod.securityContext?.runAsUser > 0, 'runAsUser')
  demand(pod.securityContext?.seccompProfile?.type === 'RuntimeDefault', 'seccompProfile')
  demand(pod.automountServiceAccountToken === false, 'automountServiceAccountToken')
  demand(!pod.hostNetwork && !pod.hostPID && !pod.hostIPC, 'the host')
  const allowed = ['configMap', 'secret', 'emptyDir', 'projected', 'persistentVolumeClaim']
  for (const { name, ...source } of pod.volumes ?? []) {
    demand(
      Object.keys(source).every((kind) => allowed.includes(kind)),
      `volume ${name}`,
    )
  }
  for (const { securityContext, ports = [], resources } of pod.containers) {
    demand(securityContext?.allowPrivilegeEscalation === false, 'allowPrivilegeEscalation')
    demand(securityContext?.readOnlyRootFilesystem === true, 'readOnlyRootFilesystem')
    demand(securityContext?.capabilities?.drop?.includes('ALL') === true, 'capabilities')
    demand(!securityContext?.capabilities?.add && !securityContext?.privileged, 'privileges')
    demand(
      ports.every((port: Any) => port.hostPort === undefined),
      'hostPort',
    )
    demand(resources?.limits?.memory !== undefined && resources?.requests?.cpu !== undefined, 'resources')
  }
  return faults
}

/** Each reference by name, selector or path without a target. */
export function danglingReferences(manifests: Manifest[]): string[] {
  const dangling: string[] = []
  const demand = (isSo: boolean, what: string) => isSo || dangling.push(what)
  const all = pods(manifests)
  /** The keys of a Secret or a ConfigMap. Undefined when it does not exist. */
  const keysOf = (kind: string, name: string): string[] | undefined => {
    const found = named(manifests, kind, name)
    if (found) return Object.keys({ ...found.data, ...found.stringData, ...found.binaryData })
    return kind === 'Secret' ? GIVEN[name as keyof typeof GIVEN] : undefined
  }
  const select = (owner: string, selector: Record<string, string>) => {
    const selected = all.filter(({ labels }) => isSelected(labels, selector))
    demand(selected.length > 0, `${owner} selects no pod`)
    return selected
  }
  const namesPort = (pod: Any, port: unknown) =>
    pod.containers.some(({ ports = [] }: Any) =>
      ports.some((each: Any) => each.name === port || each.containerPort === port),
    )

  for (const { owner, spec } of all) {
    if (spec.serviceAccountName) {
      demand(named(manifests, 'ServiceAccount', spec.serviceAccountName) !== undefined, `${owner}: service account`)
    }
    const claims = manifests
      .flatMap((manifest) => manifest.spec?.volumeClaimTemplates ?? [])
      .map((claim: Any) => claim.metadata)
    const files: string[] = []
    for (const container of spec.containers) {
      for (const { configMapRef, secretRef } of container.envFrom ?? []) {
        if (configMapRef) demand(!!keysOf('ConfigMap', configMapRef.name), `${owner}: ConfigMap ${configMapRef.name}`)
        if (secretRef) demand(!!keysOf('Secret', secretRef.name), `${owner}: Secret ${secretRef.name}`)
      }
      for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe]) {
        const port = probe?.httpGet?.port ?? probe?.tcpSocket?.port
        if (port !== undefined) demand(namesPort(spec, port), `${owner}: port ${port} of a probe`)
      }
      for (const { name, mountPath } of container.volumeMounts ?? []) {
        const volume = (spec.volumes ?? []).find((each: Any) => each.name === name)
        demand(!!volume || claims.some((claim: Any) => claim.name === name), `${owner}: volume ${name}`)
        const source = volume?.secret ?? volume?.configMap
        if (!source) continue
        const [kind, object] = volume.secret ? ['Secret', source.secretName] : ['ConfigMap', source.name]
        const keys = keysOf(kind, object)
        demand(!!keys, `${owner}: ${kind} ${object}`)
        for (const { key } of source.items ?? [])
          demand(!!keys?.includes(key), `${owner}: ${kind} ${object} has no ${key}`)
        files.push(
          ...(source.items?.map(({ path }: Any) => path) ?? keys ?? []).map((key: string) => `${mountPath}/${key}`),
        )
      }
      for (const { name, value } of container.env ?? []) {
        if (/_FILE$/.test(name)) demand(files.includes(value), `${owner}: file ${value} of ${name}`)
      }
    }
  }
  for (const { metadata, spec } of ofKind(manifests, 'Service')) {
    for (const pod of select(`Service ${metadata.name}`, spec.selector)) {
      for (const { targetPort } of spec.ports) {
        demand(namesPort(pod.spec, targetPort), `Service ${metadata.name}: ${pod.owner} has no port ${targetPort}`)
      }
    }
  }
  for (const { kind, metadata, spec } of ofKind(manifests, 'Deployment', 'StatefulSet')) {
    const owner = `${kind} ${metadata.name}`
    demand(isSelected(spec.template.metadata.labels, spec.selector.matchLabels), `${owner} selects other pods`)
    for (const { labelSelector } of spec.template.spec.topologySpreadConstraints ?? [])
      select(owner, labelSelector.matchLabels)
    if (spec.serviceName)
      demand(!!named(manifests, 'Service', spec.serviceName), `${owner}: Service ${spec.serviceName}`)
  }
  for (const { metadata, spec } of ofKind(manifests, 'PodDisruptionBudget')) {
    select(`PodDisruptionBudget ${metadata.name}`, spec.selector.matchLabels)
  }
  for (const { metadata, spec } of ofKind(manifests, 'NetworkPolicy')) {
    const owner = `NetworkPolicy ${metadata.name}`
    const selected = select(owner, spec.podSelector.matchLabels)
    for (const { from = [], ports = [] } of spec.ingress ?? []) {
      for (const { podSelector } of from) if (podSelector) select(owner, podSelector.matchLabels)
      for (const { port } of ports)
        demand(
          selected.some((pod) => namesPort(pod.spec, port)),
          `${owner}: port ${port}`,
        )
    }
  }
  for (const { metadata, spec } of ofKind(manifests, 'HorizontalPodAutoscaler')) {
    const { kind, name } = spec.scaleTargetRef
    demand(!!named(manifests, kind, name), `HorizontalPodAutoscaler ${metadata.name}: ${kind} ${name}`)
  }
  for (const { spec } of ofKind(manifests, 'Ingress')) {
    for (const { secretName } of spec.tls) demand(!!keysOf('Secret', secretName), `Ingress: Secret ${secretName}`)
    for (const { backend } of spec.rules.flatMap(({ http }: Any) => http.paths)) {
      const service = named(manifests, 'Service', backend.service.name)
      const ports = service?.spec.ports.map(({ name }: Any) => name) ?? []
      demand(ports.includes(backend.service.port.name), `Ingress: ${backend.service.name}:${backend.service.port.name}`)
    }
  }
  for (const { spec } of ofKind(manifests, 'ServiceMonitor')) {
    const monitored = ofKind(manifests, 'Service').filter(({ metadata }) =>
      isSelected(metadata.labels ?? {}, spec.selector.matchLabels),
    )
    demand(monitored.length === 1, 'ServiceMonitor selects one Service')
    const ports = monitored.flatMap((service) => service.spec.ports.map(({ name }: Any) => name))
    for (const { port } of spec.endpoints) demand(ports.includes(port), `ServiceMonitor: port ${port}`)
  }
  return dangling
}
