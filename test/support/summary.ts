import { Parser, type Result } from 'tap-parser'
import { stringify } from 'yaml'

// CI keeps the end of a log only, so the list must be short.
const MAX_FAILURE = 3_000
const MAX_LIST = 30_000

/** Reads TAP, and collects the failed assertions. */
export class Failures {
  readonly #parser = new Parser()
  readonly #failed: string[] = []

  constructor() {
    this.#parser.on('fail', (result: Result) => this.#failed.push(describe(result)))
  }

  read(line: string): void {
    this.#parser.write(`${line}\n`)
  }

  /** The failed assertions, each with its file, the titles of its tests and its diagnostic. Empty when all passed. */
  async list(): Promise<string> {
    await new Promise((resolve) => this.#parser.on('complete', resolve).end())
    const shown: string[] = []
    let length = 0
    for (const failure of this.#failed) {
      length += failure.length
      if (length > MAX_LIST) break
      shown.push(failure)
    }
    const hidden = this.#failed.length - shown.length
    if (hidden > 0) shown.push(`and ${hidden} more failures: read the output above`)
    return shown.map((failure) => `${failure}\n\n`).join('')
  }
}

function describe({ fullname, diag, tapError }: Result): string {
  const text = `FAILED ${fullname}\n${tapError ?? ''}${diag ? stringify(diag) : ''}`.trimEnd()
  return text.length > MAX_FAILURE ? `${text.slice(0, MAX_FAILURE)}\n(cut)` : text
}
