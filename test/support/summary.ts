import { type FinalResults, Parser, type Result } from 'tap-parser'
import { stringify } from 'yaml'

// CI keeps the end of a log only, so the list of failures must be short.
const MAX_FAILURE = 3_000
const MAX_LIST = 30_000

/** Counts the assertions of a run, and collects those that failed. */
export class Summary {
  #passed = 0
  #failed = 0
  #skipped = 0
  readonly #failures: string[] = []

  /**
   * Reads the TAP of one process line by line. The comments of `test-files.ts` say which test file follows.
   *
   * @param files the test files: each must have a result
   */
  reader(files: readonly string[] = []): TapReader {
    const parser = new Parser()
    const untested = new Set(files)
    let file = ''
    const on = (event: string, act: (result: Result) => void) => parser.on(event, act)
    parser.on('comment', (comment: string) => {
      file = files.find((each) => comment === `# ${each}\n`) ?? file
    })
    on('assert', () => untested.delete(file))
    on('pass', () => (this.#passed += 1))
    on('skip', () => (this.#skipped += 1))
    on('todo', () => (this.#skipped += 1))
    on('fail', (result) => this.fail(describe(result, file)))
    return {
      write: (line) => void parser.write(`${line}\n`),
      async end() {
        const { ok } = await new Promise<FinalResults>((resolve) => parser.on('complete', resolve).end())
        return { isOk: ok && untested.size === 0, untested: [...untested] }
      },
    }
  }

  /** Counts a failure that TAP does not have, for example a process that was killed. */
  fail(text: string): void {
    this.#failed += 1
    this.#failures.push(text.length > MAX_FAILURE ? `${text.slice(0, MAX_FAILURE)}\n(cut)` : text)
  }

  get failed(): number {
    return this.#failed
  }

  /** The failed assertions, each with its file, the titles of its tests and its diagnostic. The last line has the counts. */
  text(): string {
    const shown: string[] = []
    let length = 0
    for (const failure of this.#failures) {
      length += failure.length
      if (length > MAX_LIST) break
      shown.push(failure)
    }
    const hidden = this.#failures.length - shown.length
    if (hidden > 0) shown.push(`and ${hidden} more failures: read the output above`)
    const skipped = this.#skipped > 0 ? `, ${this.#skipped} skipped` : ''
    return `${shown.map((failure) => `${failure}\n\n`).join('')}${this.#passed} passed, ${this.#failed} failed${skipped}\n`
  }
}

export interface TapReader {
  write(line: string): void
  /** `untested` are the files without a result. */
  end(): Promise<{ isOk: boolean; untested: string[] }>
}

function describe({ fullname, diag, tapError }: Result, file: string): string {
  const title = [file, fullname].filter(Boolean).join(' > ')
  return `FAILED ${title}\n${tapError ?? ''}${diag ? stringify(diag) : ''}`.trimEnd()
}
