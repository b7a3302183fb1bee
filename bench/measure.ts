/** A figure, measured several times. */
export interface Summary {
  median: number
  low: number
  high: number
}

export interface Pair {
  ours: Summary
  theirs: Summary
  /** Ours by theirs, of each round: what both suffer in the same seconds falls out. */
  ratio: Summary
}

export function summarise(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b)
  return {
    median: sorted[Math.floor(sorted.length / 2)] as number,
    low: sorted[0] as number,
    high: sorted.at(-1) as number,
  }
}

/** A B A B …: one round more than counts, for the first is the compiler's. */
export async function pairs(rounds: number, a: () => Promise<number>, b: () => Promise<number>): Promise<Pair> {
  const [ours, theirs, ratio]: [number[], number[], number[]] = [[], [], []]
  for (let round = 0; round <= rounds; round += 1) {
    const one = await a()
    const other = await b()
    if (round === 0) continue
    ours.push(one)
    theirs.push(other)
    ratio.push(one / other)
  }
  return { ours: summarise(ours), theirs: summarise(theirs), ratio: summarise(ratio) }
}

export const repeat = async (times: number, measure: () => Promise<number>): Promise<Summary> => {
  const values: number[] = []
  for (let i = 0; i < times; i += 1) values.push(await measure())
  return summarise(values)
}
