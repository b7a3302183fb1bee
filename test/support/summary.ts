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
   * Reads the TAP of one source line by line.
   *
   * @param file the test file, unless the TAP names it
   */
  reader(file?: string): TapReader {
    const parser = new Parser(file === undefined ? {} : { name: file })
    const count = (event: string, act: (result: Result) => void) => parser.on(event, act)
    count('pass', () => (this.#passed += 1))
    count('skip', () => (this.#skipped += 1))
    count('todo', () => (this.#skipped += 1))
    count('fail', (result) => this.fail(describe(result)))
    return {
      write: (line) => void parser.write(`${line}\n`),
      end: () => new Promise((resolve) => parser.on('complete', resolve).end()),
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
  end(): Promise<FinalResults>
}

function describe({ fullname, diag, tapError }: Result): string {
  return `FAILED ${fullname}\n${tapError ?? ''}${diag ? stringify(diag) : ''}`.trimEnd()
}
