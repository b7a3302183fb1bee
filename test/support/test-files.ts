import asyncHooks from 'node:async_hooks'
import { syncBuiltinESMExports } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

// tap follows each promise with an async hook, to know which test an uncaught error belongs to. The hook uses a sixth of the CPU
// of `npm test`. Without the hook, Node prints the stack trace of an uncaught exception and ends the process, which fails the run.
Object.assign(asyncHooks, { createHook: () => ({ enable() {}, disable() {} }) })
syncBuiltinESMExports()
const { default: t } = await import('tap')

/** Runs the test files of the command line in this process, one after the other. A comment names each file in the output. */
for (const file of process.argv.slice(2)) {
  t.comment(file)
  await import(pathToFileURL(resolve(file)).href)
}
