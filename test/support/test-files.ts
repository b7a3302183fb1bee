import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'

/** Runs the test files of the command line in this process, one after the other. A comment names each file in the output. */
for (const file of process.argv.slice(2)) {
  t.comment(file)
  await import(pathToFileURL(resolve(file)).href)
}
