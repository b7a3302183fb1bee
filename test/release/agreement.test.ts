import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Test, test } from 'tap'
import { findDisagreements, releaseNotes } from '../../release/agreement.js'
import { temporaryFolder } from '../support/service.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const FILES = [
  'package.json',
  'package-lock.json',
  'verifier/package.json',
  'Dockerfile',
  'CHANGELOG.md',
  'SECURITY.md',
]

/** This checkout as it is at a release: the lines under Unreleased have a version and a date. */
function checkout(t: Test): { folder: string; change: (file: string, from: string | RegExp, to: string) => void } {
  const folder = temporaryFolder(t)
  for (const file of FILES) cpSync(join(root, file), join(folder, file), { recursive: true })
  const change = (file: string, from: string | RegExp, to: string) => {
    const text = readFileSync(join(folder, file), 'utf8')
    const changed = text.replace(from, to)
    if (changed === text) throw new Error(`${file} does not have ${from}`)
    writeFileSync(join(folder, file), changed)
  }
  change('CHANGELOG.md', '## [Unreleased]\n', `## [Unreleased]\n\n## [${version}] - 2026-11-28\n`)
  return { folder, change }
}

test('a tag, the versions of both packages, the image, the changelog and SECURITY.md agree after the steps of a release', async (t) => {
  t.strictSame(findDisagreements(`v${version}`, checkout(t).folder), [])
})

test('each disagreement stops a release, and its sentence names the file', async (t) => {
  const rows: [fault: RegExp, file: string, from: string | RegExp, to: string][] = [
    [/^the tag v\S+ does not name/, 'package.json', `"version": "${version}"`, '"version": "9.9.9"'],
    [/^verifier\/package.json has the version 9.9.9/, 'verifier/package.json', `"${version}"`, '"9.9.9"'],
    [/^package.json depends on another version/, 'package.json', `"^${version}"`, '"^9.9.9"'],
    [/^package-lock.json has another version/, 'package-lock.json', `"version": "${version}"`, '"version": "9.9.9"'],
    [/^Dockerfile has another version/, 'Dockerfile', `VERSION=${version}`, 'VERSION=9.9.9'],
    [/^CHANGELOG.md has no section/, 'CHANGELOG.md', `## [${version}] - 2026-11-28`, `## [${version}]`],
    [/^CHANGELOG.md still has lines/, 'CHANGELOG.md', `## [${version}] - 2026-11-28\n`, ''],
    [/^SECURITY.md does not support/, 'SECURITY.md', /\| yes .*/, '| no |'],
  ]
  for (const [fault, file, from, to] of rows) {
    const { folder, change } = checkout(t)
    change(file, from, to)
    t.ok(
      findDisagreements(`v${version}`, folder).some((each) => fault.test(each)),
      `${fault}`,
    )
  }
  for (const tag of [version, `v${version}.1`, `v${version}-rc.1`, 'v', 'latest']) {
    t.match(findDisagreements(tag, checkout(t).folder), [/^the tag /], tag)
  }
})

test('the notes of a release are the lines of its section, and no lines of its neighbours', async (t) => {
  const changelog =
    '# Changelog\n\n## [Unreleased]\n\n## [2.0.0] - 2026-02-01\n\n### Added\n\n- Two.\n\n## [1.0.0] - 2026-01-01\n\n- One.\n'
  t.equal(releaseNotes('2.0.0', changelog), '### Added\n\n- Two.')
  t.equal(releaseNotes('1.0.0', changelog), '- One.')
  for (const absent of ['2.0', '0.0', 'Unreleased', '3.0.0'])
    t.equal(releaseNotes(absent, changelog), undefined, absent)
  t.equal(releaseNotes('1.0.0', '## [1.0.0] - 2026-01-01\n\n### Added\n'), undefined, 'a heading alone')
})
