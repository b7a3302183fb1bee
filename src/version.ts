import { readFileSync } from 'node:fs'

/** The version in package.json. The file is two folders above this module in dist/src. */
export function readVersion(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}
