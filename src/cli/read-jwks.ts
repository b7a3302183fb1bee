import { readFileSync } from 'node:fs'
import { CommandError } from './command.js'

/** The JSON of a file with a JWK Set. */
export function readJwks(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new CommandError(`--jwks: ${path} ${code === undefined ? 'is not JSON' : `cannot be read: ${code}`}`)
  }
}
