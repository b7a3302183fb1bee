import t from 'tap'
import { isAll } from './size.js'

/**
 * Runs the given test files, each in its own process, and writes TAP. tap's command would measure coverage in every
 * process, even with `--disable-coverage`, which takes half of the CPU.
 */
// Each file has a timeout, but all files together have none.
t.setTimeout(0)
// The tests of a file wait for timers and servers, so three files keep two cores busy. Among all files are fault tests, whose
// time limits need a core.
t.jobs = isAll ? 2 : 3
/** The timeout of a file in seconds. Without `TAP_TIMEOUT`, tap in the file's process allows 30. */
const TIMEOUT = 300
const env = { ...process.env, TAP_TIMEOUT: String(TIMEOUT) }
for (const file of process.argv.slice(2)) {
  void t.spawn(process.execPath, ['--enable-source-maps', file], { buffered: true, env, timeout: TIMEOUT * 1000 }, file)
}
