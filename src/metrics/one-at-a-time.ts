/** All calls during a render share the result of the next one: 200 concurrent scrapes took 1.2 GB. */
export function oneAtATime<Result>(act: () => Promise<Result>): () => Promise<Result> {
  let current: Promise<unknown> = Promise.resolve()
  let next: Promise<Result> | undefined
  return () => {
    next ??= current.then(() => {
      next = undefined
      const result = act()
      current = result.catch(() => {})
      return result
    })
    return next
  }
}
