import { createPasswordHashing } from '../src/users/password-hashing.js'

/** Prints how many passwords argon2id alone checks in a second, one at a time. */
const hashing = createPasswordHashing({ concurrency: 1, queue: 0 })
const phc = await hashing.hash('correct horse battery staple')
const seconds = Number(process.argv[2])
let count = 0
const began = performance.now()
while (performance.now() - began < seconds * 1000) {
  await hashing.withSlot(undefined, (slot) => slot.verify(phc, 'correct horse battery staple'))
  count += 1
}
process.stdout.write(String((count * 1000) / (performance.now() - began)))
