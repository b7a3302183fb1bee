import type { TokenErrorCode } from '../token/token-error.js'

/** What the sidecar counts, for Prometheus. */
interface Counters {
  countAnswer(status: number): void
  countRefusal(code: TokenErrorCode): void
  /** The exposition text (version 0.0.4). */
  render(gauges: { isReady: boolean; malformedFeedEntries: number }): string
}

export function createCounters(): Counters {
  const answers = new Map<number, number>()
  const refusals = new Map<string, number>()
  const startedAt = Date.now() / 1000 - process.uptime()
  return {
    countAnswer: (status) => void answers.set(status, (answers.get(status) ?? 0) + 1),
    countRefusal: (code) => void refusals.set(code, (refusals.get(code) ?? 0) + 1),

    render({ isReady, malformedFeedEntries }) {
      const { user, system } = process.cpuUsage()
      return [
        metric(
          'latchkey_sidecar_answers_total',
          'counter',
          'Answers at /verify, by status',
          labelled('status', answers),
        ),
        metric(
          'latchkey_sidecar_refused_tokens_total',
          'counter',
          'Refused tokens, by code',
          labelled('code', refusals),
        ),
        metric('latchkey_sidecar_ready', 'gauge', '1 when tokens can be verified', `{} ${Number(isReady)}`),
        metric(
          'latchkey_sidecar_malformed_feed_entries_total',
          'counter',
          'Entries of the feed of an unknown form',
          `{} ${malformedFeedEntries}`,
        ),
        metric('process_cpu_seconds_total', 'counter', 'CPU time', `{} ${(user + system) / 1e6}`),
        metric('process_resident_memory_bytes', 'gauge', 'Resident memory', `{} ${process.memoryUsage.rss()}`),
        metric('process_start_time_seconds', 'gauge', 'Start, in Unix time', `{} ${startedAt.toFixed(3)}`),
      ].join('')
    },
  }
}

/** @param samples lines of labels and a value */
function metric(name: string, type: string, help: string, ...samples: (string | string[])[]): string {
  const lines = samples.flat().map((sample) => `${name}${sample.replace(/^\{\}/, '')}\n`)
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

function labelled(label: string, counts: ReadonlyMap<string | number, number>): string[] {
  return [...counts].map(([value, count]) => `{${label}="${value}"} ${count}`)
}
