/** A check for each dependency, by its name. A check throws when its dependency does not answer. */
export type Checks = Readonly<Record<string, () => Promise<void>>>

/** Runs all checks at the same time. Each result is `ok`, or why the dependency does not answer. */
export async function runChecks(checks: Checks): Promise<Record<string, string>> {
  const results = Object.entries(checks).map(async ([name, check]): Promise<[string, string]> => {
    try {
      await check()
      return [name, 'ok']
    } catch (error) {
      return [name, (error as Error).message]
    }
  })
  return Object.fromEntries(await Promise.all(results))
}
