import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The sentences that say where the files of a checkout disagree with the tag of a release. Without one, the release may start. */
export function findDisagreements(tag: string, root: string): string[] {
  const read = (path: string) => readFileSync(join(root, path), 'utf8')
  const service = JSON.parse(read('package.json'))
  const verifier = JSON.parse(read('verifier/package.json'))
  const lock = JSON.parse(read('package-lock.json'))
  const { version } = service
  const faults: string[] = []
  const demand = (isSo: boolean, fault: string) => isSo || faults.push(fault)

  demand(tag === `v${version}`, `the tag ${tag} does not name the version of package.json: tag the commit v${version}`)
  demand(
    verifier.version === version,
    `verifier/package.json has the version ${verifier.version}: set it to ${version}, because both packages have one version`,
  )
  demand(
    service.dependencies[verifier.name] === `^${version}`,
    `package.json depends on another version of ${verifier.name}: set it to ^${version}`,
  )
  demand(
    [lock, lock.packages[''], lock.packages.verifier].every((each) => each.version === version),
    'package-lock.json has another version: run npm install',
  )
  demand(
    read('Dockerfile').includes(`\nARG VERSION=${version}\n`),
    `Dockerfile has another version: write ARG VERSION=${version}`,
  )
  demand(
    releaseNotes(version, read('CHANGELOG.md')) !== undefined,
    `CHANGELOG.md has no section for the version: write "## [${version}] - YEAR-MONTH-DAY" above its lines`,
  )
  demand(
    section('Unreleased', read('CHANGELOG.md')) === '',
    `CHANGELOG.md still has lines under [Unreleased]: move them below [${version}]`,
  )
  const line = version.split('.').slice(0, 2).join('.')
  demand(
    read('SECURITY.md').includes(`| ${line}.x | yes |`),
    `SECURITY.md does not support ${line}.x: add "| ${line}.x | yes |" to its table`,
  )
  return faults
}

/** The lines of the changelog for a version, or undefined if it has none. The heading needs a date. */
export function releaseNotes(version: string, changelog: string): string | undefined {
  const isDated = changelog
    .split('\n')
    .some((line) => line.startsWith(`## [${version}] - `) && /\d{4}-\d\d-\d\d$/.test(line))
  return (isDated && section(version, changelog)) || undefined
}

/** The lines below a heading, without the empty headings in between. */
function section(name: string, changelog: string): string {
  const body = changelog.split(/^## /m).find((each) => each.startsWith(`[${name}]`)) ?? ''
  const lines = body.slice(body.indexOf('\n')).trim()
  return /^[^#\s]/m.test(lines) ? lines : ''
}
