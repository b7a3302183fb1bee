type Labels = Readonly<Record<string, string>>

/** A value as prom-client's registry reads it. */
interface Sample {
  metricName?: string
  labels: Labels
  value: number
}

/**
 * A metric as prom-client's registry reads it at a scrape.
 *
 * prom-client's own counters and histograms look up their labels at each event. An introspection counts one and times two
 * events: that takes 850 ns with prom-client and 20 ns here. prom-client would also take 20 ms and 3 MB of each start.
 */
export interface Metric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  get(): Promise<{ name: string; help: string; type: string; values: Sample[] }>
}

const metric = (
  name: string,
  help: string,
  type: Metric['type'],
  read: () => Sample[] | Promise<Sample[]>,
): Metric => ({ name, help, type, get: async () => ({ name, help, type, values: await read() }) })

/** All series of one name, one for each set of labels. Callers look up a series once, and keep it. */
class Family<Series> {
  readonly #all = new Map<string, { labels: Labels; series: Series }>()
  constructor(readonly make: () => Series) {}

  with(labels: Labels): Series {
    const key = JSON.stringify(labels)
    const known = this.#all.get(key)
    if (known) return known.series
    const series = this.make()
    this.#all.set(key, { labels, series })
    return series
  }

  samples(read: (series: Series, labels: Labels) => Sample[]): Sample[] {
    return [...this.#all.values()].flatMap(({ series, labels }) => read(series, labels))
  }
}

/** One series of a counter. */
export class CounterSeries {
  value = 0
  add(amount = 1): void {
    this.value += amount
  }
}

export interface Counter extends Metric {
  with(labels: Labels): CounterSeries
}

export function counter(name: string, help: string): Counter {
  const family = new Family(() => new CounterSeries())
  const read = () => family.samples(({ value }, labels) => [{ labels, value }])
  return { ...metric(name, help, 'counter', read), with: (labels) => family.with(labels) }
}

/** A counter whose value is read at each scrape. */
export function observedCounter(name: string, help: string, read: () => number): Metric {
  return metric(name, help, 'counter', () => [{ labels: {}, value: read() }])
}

/** One series of a histogram, in seconds. */
export class HistogramSeries {
  sum = 0
  readonly #counts: Float64Array
  constructor(readonly bounds: readonly number[]) {
    this.#counts = new Float64Array(bounds.length + 1)
  }

  add(seconds: number): void {
    let bucket = 0
    while (bucket < this.bounds.length && seconds > (this.bounds[bucket] as number)) bucket += 1
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1
    this.sum += seconds
  }

  /** For each bound, how many values were at most the bound. The last bound is `+Inf`. */
  cumulativeCounts(): { le: string; count: number }[] {
    let count = 0
    return [...this.#counts].map((inside, bucket) => {
      count += inside
      return { le: String(this.bounds[bucket] ?? '+Inf'), count }
    })
  }
}

interface Histogram extends Metric {
  with(labels: Labels): HistogramSeries
}

export function histogram(name: string, help: string, bounds: readonly number[]): Histogram {
  const family = new Family(() => new HistogramSeries(bounds))
  const read = () =>
    family.samples((series, labels) => {
      const buckets = series.cumulativeCounts()
      return [
        ...buckets.map(({ le, count }) => ({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: count })),
        { metricName: `${name}_sum`, labels, value: series.sum },
        { metricName: `${name}_count`, labels, value: buckets.at(-1)?.count ?? 0 },
      ]
    })
  return { ...metric(name, help, 'histogram', read), with: (labels) => family.with(labels) }
}

/** A gauge that is read at each scrape. A gauge that cannot be read now, for example while Redis is down, is omitted. */
export function gauge(
  name: string,
  help: string,
  read: () => Promise<[Labels, number][]> | [Labels, number][],
): Metric {
  return metric(name, help, 'gauge', async () => {
    try {
      return (await read()).map(([labels, value]) => ({ labels, value }))
    } catch {
      return []
    }
  })
}
