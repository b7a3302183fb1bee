import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findDisagreements, releaseNotes } from './agreement.js'
import { writeManifests } from './manifests.js'

const USAGE = `The steps of a release (docs/releasing.md):
  check TAG                 whether the tag, the versions, the changelog and SECURITY.md agree
  notes TAG                 prints the section of the changelog
  manifests IMAGE FOLDER    writes the manifests for Kubernetes, with the image by its digest
`
const root = fileURLToPath(new URL('../../', import.meta.url))

/** Returns the exit status: 1 after a fault, 2 after a wrong call. */
function main([command, subject, folder]: string[]): number {
  if (command === 'check' && subject !== undefined) {
    const faults = findDisagreements(subject, root)
    for (const fault of faults) process.stderr.write(`${fault}\n`)
    return faults.length === 0 ? 0 : 1
  }
  if (command === 'notes' && subject !== undefined) {
    const notes = releaseNotes(subject.replace(/^v/, ''), readFileSync(join(root, 'CHANGELOG.md'), 'utf8'))
    if (notes === undefined) process.stderr.write(`CHANGELOG.md has no section for ${subject}\n`)
    else process.stdout.write(`${notes}\n`)
    return notes === undefined ? 1 : 0
  }
  if (command === 'manifests' && subject !== undefined && folder !== undefined) {
    writeManifests(root, subject, folder)
    return 0
  }
  process.stderr.write(USAGE)
  return 2
}

process.exitCode = main(process.argv.slice(2))
