import { availableParallelism, loadavg } from 'node:os'

/** The wall time of a second of CPU on this machine at the start. It is 1 on an idle machine. */
const initialSlowness = measureSlowness()

/**
 * A limit of wall time, scaled to the present speed of the machine. Only the tests in `test/faults` measure wall time, because
 * only there the rule is a time.
 *
 * @param milliseconds the limit on an idle machine
 */
export function scaledLimit(milliseconds: number): number {
  // The load includes processes that have started since.
  const load = (loadavg()[0] ?? 0) / availableParallelism()
  return milliseconds * Math.max(1, initialSlowness, load)
}

function measureSlowness(): number {
  const [wall, cpu] = [performance.now(), process.cpuUsage()]
  const used = () => {
    const { user, system } = process.cpuUsage(cpu)
    return (user + system) / 1000
  }
  while (used() < 50);
  return (performance.now() - wall) / used()
}
