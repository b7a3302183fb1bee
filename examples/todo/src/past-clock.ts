/**
 * `npm run example` loads this file into its token service (`node --import`), on the first start of a folder. So the console
 * has an hour of activity to show. The token service itself knows nothing of this file.
 *
 * The parent process moves the clock, over the IPC channel that only these two processes have. When the parent disconnects,
 * the clock is that of the machine, for good.
 */
const machineClock = Date.now
/** Milliseconds. The process starts before the hour. */
let offset = -75 * 60_000
Date.now = () => machineClock() + offset

process.on('message', (time: number) => {
  offset = time - machineClock()
  process.send?.(time)
})
process.on('disconnect', () => {
  offset = 0
  Date.now = machineClock
})
