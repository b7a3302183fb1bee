import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createPasswordHashing } from '../src/users/password-hashing.js'
import { createUsers } from '../src/users/users.js'
import type { Setting } from './setting.js'

export const PASSWORD = 'correct horse battery staple'

/** Creates accounts with this password. Returns their names. */
export async function createAccounts(setting: Setting, count: number): Promise<string[]> {
  const { database, close } = await setting.openStores()
  const users = createUsers(database, createPasswordHashing({ concurrency: 2, queue: count }))
  const names = Array.from({ length: count }, (_, i) => `bench-${i}`)
  await Promise.all(names.map((name) => users.create({ username: name, password: PASSWORD })))
  await close()
  return names
}

/** Writes a file for the load generator: each line is the form of one sign-in. */
export function writeSignIns({ folder }: Setting, names: readonly string[]): string {
  const path = join(folder, 'sign-ins')
  writeFileSync(path, names.map((name) => `username=${name}&password=${encodeURIComponent(PASSWORD)}\n`).join(''))
  return path
}
