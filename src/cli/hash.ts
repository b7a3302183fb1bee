import { createPasswordHashing } from '../users/password-hashing.js'
import { command } from './command.js'
import { readPassword } from './read-password.js'

export const hash = command({
  about: 'Hash a password from standard input with argon2id, and print a PHC string',
  async run() {
    const phc = await createPasswordHashing({ concurrency: 1, queue: 1 }).hash(await readPassword())
    return { text: phc, json: { hash: phc } }
  },
})
