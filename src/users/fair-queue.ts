import { networkOf } from '../network.js'

interface FairQueueOptions {
  /** How many callers may hold a slot at the same time. */
  slots: number
  /** How many callers may hold a slot or wait for one. */
  capacity: number
  /** Creates the error for a caller that cannot get a place. */
  createRefusal(): Error
}

interface FairQueue {
  /**
   * Waits for a slot. Call {@link FairQueue.release} once for each slot. Rejects at once when the queue is full, and later
   * when another network gets this place.
   *
   * @param address of the caller. Callers without an address share one line
   */
  acquire(address: string | undefined): Promise<void>
  release(): void
  /** How many callers hold a slot or wait for one. */
  size(): number
}

interface Waiter {
  start(): void
  refuse(): void
}

/**
 * A queue with fair shares. Each network has its own line, and the lines take turns. A newcomer to a full queue replaces the
 * last waiter of the longest line. That line must stay at least as long as the newcomer's own line. So one network may take
 * every place while it is alone, and never delays the others.
 */
export function createFairQueue({ slots, capacity, createRefusal }: FairQueueOptions): FairQueue {
  const lines = new Map<string, Waiter[]>()
  let [held, waiting] = [0, 0]

  function startNext(): void {
    const [first] = lines
    if (held >= slots || !first) return
    const [network, line] = first
    // The line moves to the end of the map: the other lines come first now.
    lines.delete(network)
    const next = line.shift()
    if (line.length > 0) lines.set(network, line)
    waiting -= 1
    held += 1
    next?.start()
  }

  /** Makes room for one more caller of this network. Returns whether there is room now. */
  function makeRoomFor(network: string): boolean {
    if (held + waiting < capacity) return true
    let longest: [string, Waiter[]] | undefined
    for (const each of lines) if (each[1].length > (longest?.[1].length ?? 0)) longest = each
    const own = lines.get(network)?.length ?? 0
    if (!longest || longest[1].length <= own + 1) return false
    // The last waiter has waited least.
    longest[1].pop()?.refuse()
    waiting -= 1
    return true
  }

  return {
    async acquire(address) {
      const network = address === undefined ? '' : networkOf(address)
      if (!makeRoomFor(network)) throw createRefusal()
      await new Promise<void>((start, reject) => {
        const line = lines.get(network) ?? []
        line.push({ start, refuse: () => reject(createRefusal()) })
        lines.set(network, line)
        waiting += 1
        startNext()
      })
    },
    release() {
      held -= 1
      startNext()
    },
    size: () => held + waiting,
  }
}
