export interface Sample {
  name: string
  labels: Record<string, string>
  value: number
}

export interface Samples {
  text: string
  samples: Sample[]
  /** The value with exactly these labels. Undefined when there is none. */
  value(name: string, labels?: Record<string, string>): number | undefined
}

/** Reads /metrics of the management port like Prometheus. Throws at a line in another format. */
export async function scrape(managementUrl: string): Promise<Samples> {
  const answer = await fetch(`${managementUrl}/metrics`)
  if (answer.status !== 200) throw new Error(`/metrics answered ${answer.status}`)
  const text = await answer.text()
  const samples = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(parse)
  const key = (labels: Record<string, string>) => JSON.stringify(Object.entries(labels).sort())
  return {
    text,
    samples,
    value: (name, labels = {}) =>
      samples.find((sample) => sample.name === name && key(sample.labels) === key(labels))?.value,
  }
}

function parse(line: string): Sample {
  const [, name, labels = '', value = ''] = /^([a-z_]\w*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
  if (name === undefined) throw new Error(`no sample: ${line}`)
  const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)",?/g)]
  if (pairs.map(([all]) => all).join('') !== labels) throw new Error(`no labels: ${line}`)
  return { name, labels: Object.fromEntries(pairs.map(([, label, text]) => [label, text])), value: Number(value) }
}
