/** A figure that was measured several times. */
export interface Summary {
  median: number
  low: number
  high: number
}

export interface Comparison {
  ours: Summary
  theirs: Summary
  /** Ours divided by theirs, in each round. Noise that slows both in the same seconds cancels out. */
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

/** Two measurements to compare in turns. */
type Contest = readonly [ours: () => Promise<number>, theirs: () => Promise<number>]

/**
 * Measures A B A B … for each contest, and repeats all of them in rounds. A machine that is slow for a minute then slows all
 * contests, and the spread shows it. The first round does not count, because the JIT compiler still works.
 */
export async function measureInTurns(rounds: number, contests: readonly Contest[]): Promise<Comparison[]> {
  const measured = contests.map(([a, b]) => ({
    a,
    b,
    ours: [] as number[],
    theirs: [] as number[],
    ratio: [] as number[],
  }))
  for (let round = 0; round <= rounds; round += 1) {
    for (const { a, b, ours, theirs, ratio } of measured) {
      const one = await a()
      const other = await b()
      if (round === 0) continue
      ours.push(one)
      theirs.push(other)
      ratio.push(one / other)
    }
  }
  return measured.map(({ ours, theirs, ratio }) => ({
    ours: summarise(ours),
    theirs: summarise(theirs),
    ratio: summarise(ratio),
  }))
}

export async function measurePair(rounds: number, ...contest: Contest): Promise<Comparison> {
  return (await measureInTurns(rounds, [contest]))[0] as Comparison
}

export const measureRepeatedly = async (times: number, measure: () => Promise<number>): Promise<Summary> => {
  const values: number[] = []
  for (let i = 0; i < times; i += 1) values.push(await measure())
  return summarise(values)
}
