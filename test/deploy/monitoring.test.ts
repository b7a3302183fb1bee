import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import tap, { test } from 'tap'
import { parse, stringify } from 'yaml'
import { eventually } from '../support/eventually.js'
import { root } from '../support/kustomize.js'
import { type Samples, scrape } from '../support/scrape.js'
import { locate } from '../support/servers/install.js'
import { PASSWORD, startService, temporaryFolder } from '../support/service.js'

interface Rule {
  alert: string
  expr: string
  annotations: Record<string, string>
}

const folder = join(root, 'k8s/components/monitoring')
const { spec } = parse(readFileSync(join(folder, 'rules.yaml'), 'utf8'))
const rules: Rule[] = spec.groups.flatMap((group: { rules: Rule[] }) => group.rules)
const dashboard = JSON.parse(readFileSync(join(folder, 'latchkey.json'), 'utf8'))
const panels: { title: string; targets?: { expr: string; legendFormat: string }[] }[] = dashboard.panels

/** Labels that Prometheus adds to the metrics of a pod. */
const TARGET = ['namespace', 'pod', 'job', 'instance']

/** The metrics of an expression with their matchers: `name{label="value", …}`. */
function selectorsOf(expr: string): { name: string; matchers: { label: string; regex: RegExp }[] }[] {
  const found = expr.matchAll(/\b((?:latchkey|process|nodejs)_\w+)(?:\{([^}]*)\})?/g)
  return [...found].map(([, name = '', inside = '']) => ({
    name,
    matchers: [...inside.matchAll(/(\w+)(=~?)"([^"]*)"/g)].map(([, label = '', operator, value = '']) => ({
      label,
      regex: new RegExp(`^(?:${operator === '=~' ? value : value.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')})$`),
    })),
  }))
}

/** The labels in an expression or a text: after `by`, and in templates. */
const labelsNamedIn = (text: string) => [
  ...[...text.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(',').map((label) => label.trim())),
  ...[...text.matchAll(/\$labels\.(\w+)|\{\{(\w+)\}\}/g)].map(([, one, other]) => one ?? other ?? ''),
]

/** The metrics, labels and values of an expression that the service does not have. */
function missing(seen: Samples, expr: string, texts: string[] = []): string[] {
  const selectors = selectorsOf(expr)
  const faults = selectors.length === 0 ? [`no metric in ${expr}`] : []
  const labels = new Set(TARGET)
  for (const { name, matchers } of selectors) {
    const samples = seen.samples.filter((sample) => sample.name === name)
    if (samples.length === 0) faults.push(`no metric ${name}`)
    for (const label of samples.flatMap((sample) => Object.keys(sample.labels))) labels.add(label)
    for (const { label, regex } of matchers) {
      if (TARGET.includes(label)) continue
      const values = samples.flatMap((sample) => sample.labels[label] ?? [])
      if (values.length === 0) faults.push(`${name} has no label ${label}`)
      // A test cannot cause a fault of the service. So any status counts as known.
      else if (label !== 'status' && !values.some((value) => regex.test(value))) {
        faults.push(`${name}: no ${label} is ${regex.source}`)
      }
    }
  }
  for (const label of [expr, ...texts].flatMap(labelsNamedIn)) if (!labels.has(label)) faults.push(`no label ${label}`)
  return faults
}

const seen = await (async () => {
  const { api, managementUrl } = await startService(tap, 'redis')
  await api.signUp('ada', PASSWORD)
  const { access_token: token } = await api.tokens('ada', PASSWORD)
  await api.introspect(token)
  await api.call('/verify', { bearer: token })
  let samples = await scrape(managementUrl)
  // A gauge that cannot be read in time is absent.
  await eventually(async () => {
    samples = await scrape(managementUrl)
    return ['latchkey_sessions_live', 'latchkey_feed_age_seconds'].every((name) => samples.value(name) !== undefined)
  })
  return samples
})()

test('every metric, label and value of an alert exists in the service', async (t) => {
  t.ok(rules.length >= 15)
  for (const { alert, expr, annotations } of rules) {
    t.strictSame(missing(seen, expr, Object.values(annotations)), [], alert)
    t.match(annotations.summary, /\.$/, `${alert} says what is wrong`)
  }
})

test('every metric and label of the dashboard exists in the service', async (t) => {
  const targets = panels.flatMap(({ title, targets = [] }) => targets.map((target) => ({ title, ...target })))
  t.ok(targets.length >= 20)
  for (const { title, expr, legendFormat } of targets) t.strictSame(missing(seen, expr, [legendFormat]), [], title)
})

test('every metric of the service is used by an alert or by the dashboard', async (t) => {
  const asked = [
    ...rules.map(({ expr }) => expr),
    ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  ]
  const looked = new Set(asked.flatMap(selectorsOf).map(({ name }) => name.replace(/_bucket$/, '')))
  const ours = new Set(
    seen.samples
      .map(({ name }) => name.replace(/_(bucket|sum|count)$/, ''))
      .filter((name) => name.startsWith('latchkey_')),
  )
  t.strictSame(
    [...ours].filter((name) => !looked.has(name)),
    [],
  )
})

test('the check finds an alert on a metric that does not exist', async (t) => {
  t.match(missing(seen, 'rate(latchkey_signins_total[5m]) > 0'), [/no metric/])
  t.match(missing(seen, 'latchkey_sign_ins_total{outcome="accepted"}'), [/no label outcome/])
  t.match(missing(seen, 'latchkey_sign_ins_total{result="acepted"}'), [/no result/])
  t.match(missing(seen, 'sum by (reason) (latchkey_sign_ins_total)'), [/no label reason/])
})

test('every section of docs/operate.md that an alert links to exists', async (t) => {
  const page = readFileSync(join(root, 'docs/operate.md'), 'utf8')
  for (const { annotations } of rules) {
    const section = /See docs\/operate\.md, "(.*?)"/.exec(annotations.description ?? '')?.[1]
    if (section) t.match(page, new RegExp(`^#+ ${section}$`, 'm'))
  }
})

test('promtool finds no fault in the rules', async (t) => {
  const file = join(temporaryFolder(t), 'rules.yaml')
  writeFileSync(file, stringify(spec))
  const output = execFileSync(locate('promtool', []) ?? 'promtool', ['check', 'rules', file], { encoding: 'utf8' })
  t.match(output, new RegExp(`SUCCESS: ${rules.length} rules found`))
})
