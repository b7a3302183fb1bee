import t from 'tap'

/**
 * Runs the test files that its arguments name, each in a process of its own, and writes TAP. tap's command would measure coverage in every
 * process, even with `--disable-coverage`: that takes half of the CPU.
 */
// Each file has a limit; all of them together have none.
t.setTimeout(0)
// The tests of a file wait for timers and servers: three files keep two cores busy.
t.jobs = 3
/** Seconds that a file may take. Without `TAP_TIMEOUT`, tap in the file's own process allows 30. */
const TIMEOUT = 300
const env = { ...process.env, TAP_TIMEOUT: String(TIMEOUT) }
for (const file of process.argv.slice(2)) {
  void t.spawn(process.execPath, ['--enable-source-maps', file], { buffered: true, env, timeout: TIMEOUT * 1000 }, file)
}
