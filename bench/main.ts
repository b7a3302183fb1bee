import { measureRequests } from './requests.js'
import { startSetting } from './setting.js'

const setting = await startSetting()
try {
  const { figures, memory } = await measureRequests(
    setting,
    Number(process.env.BENCH_ROUNDS ?? 5),
    new RegExp(process.argv[2] ?? ''),
  )
  for (const { name, against, ours, theirs, ratio } of figures) {
    process.stdout.write(
      `${name.padEnd(24)} ${ours.median.toFixed(1).padStart(6)} µs  ${against} ${theirs.median.toFixed(1)} µs  ratio ${ratio.median.toFixed(2)} (${ratio.low.toFixed(2)}–${ratio.high.toFixed(2)})\n`,
    )
  }
  process.stdout.write(`memory ${memory}\n`)
} finally {
  await setting.stop()
}
process.exit()
