import { networkOf } from '../network.js'

export interface TurnsOptions {
  /** How many are begun and not yet done. */
  atOnce: number
  /** How many are begun or wait. */
  places: number
  /** Makes the refusal of work for which there is no place. */
  refusal(): Error
}

export interface Turns {
  /**
   * Does the work when its turn comes. Rejects with the refusal at once where there is no place, or later where the place is
   * given to another network.
   *
   * @param address the caller's; work without one shares a line of its own
   */
  take<Result>(address: string | undefined, work: () => Promise<Result>): Promise<Result>
  /** How many are begun or wait. */
  taken(): number
}

interface Waiting {
  begin(): void
  refuse(): void
}

/**
 * A queue with fair shares. Each network has a line of its own, and the lines take turns. When every place is taken, a
 * newcomer gets the last place of the longest line, if that line stays at least as long as the newcomer's own. So a network
 * may take every place while it is alone, and holds up nobody else.
 */
export function createTurns({ atOnce, places, refusal }: TurnsOptions): Turns {
  const lines = new Map<string, Waiting[]>()
  let [begun, waiting] = [0, 0]

  function beginNext(): void {
    const [first] = lines
    if (begun >= atOnce || !first) return
    const [network, line] = first
    // To the end: the other lines come first now.
    lines.delete(network)
    const next = line.shift()
    if (line.length > 0) lines.set(network, line)
    waiting -= 1
    begun += 1
    next?.begin()
  }

  /** Answers whether there is a place now for one more of this network. */
  function makeRoomFor(network: string): boolean {
    if (begun + waiting < places) return true
    let longest: [string, Waiting[]] | undefined
    for (const each of lines) if (each[1].length > (longest?.[1].length ?? 0)) longest = each
    const own = lines.get(network)?.length ?? 0
    if (!longest || longest[1].length <= own + 1) return false
    // The last one has waited least.
    longest[1].pop()?.refuse()
    waiting -= 1
    return true
  }

  return {
    async take(address, work) {
      const network = address === undefined ? '' : networkOf(address)
      if (!makeRoomFor(network)) throw refusal()
      await new Promise<void>((begin, reject) => {
        const line = lines.get(network) ?? []
        line.push({ begin, refuse: () => reject(refusal()) })
        lines.set(network, line)
        waiting += 1
        beginNext()
      })
      try {
        return await work()
      } finally {
        begun -= 1
        beginNext()
      }
    },
    taken: () => begun + waiting,
  }
}
