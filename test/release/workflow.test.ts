import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { parse } from 'yaml'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')

interface Step {
  name?: string
  uses?: string
  run?: string
  with?: Record<string, unknown>
}

interface Job {
  needs?: string[]
  uses?: string
  environment?: string
  permissions?: Record<string, string>
  steps?: Step[]
}

const folder = '.github/workflows'
const workflows = readdirSync(join(root, folder)).map((file) => ({ file, text: read(`${folder}/${file}`) }))
const { on, permissions, jobs }: { on: object; permissions: object; jobs: Record<string, Job> } = parse(
  read(`${folder}/release.yml`),
)
const stepsOf = (job: string) => jobs[job]?.steps ?? []
const scriptOf = (job: string) =>
  stepsOf(job)
    .map(({ run }) => run ?? '')
    .join('\n')
const uses = (job: string, action: string) =>
  stepsOf(job).find((step) => step.uses?.startsWith(`${action}@`))?.with ?? {}

test('every action of every workflow is pinned to a commit, and says its version', async (t) => {
  for (const { file, text } of workflows) {
    const used = [...text.matchAll(/^\s*(?:- )?uses: (.+)$/gm)].map(([, action = '']) => action)
    t.ok(used.length > 0, file)
    for (const action of used) {
      if (action.startsWith('./')) t.ok(existsSync(join(root, action)), action)
      else t.match(action, /^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/, `${file}: ${action}`)
    }
  }
})

test('every script of every workflow is valid shell, and has no expression in it', async (t) => {
  for (const { file, text } of workflows) {
    const all: Job[] = Object.values(parse(text).jobs)
    for (const { run } of all.flatMap(({ steps = [] }) => steps)) {
      if (run === undefined) continue
      t.doesNotThrow(
        () => execFileSync('bash', ['-n', '-c', run], { stdio: ['ignore', 'pipe', 'pipe'] }),
        `${file}: ${run}`,
      )
      t.notMatch(run, /\$\{\{/, `${file}: ${run}`)
    }
  }
})

test('a release starts from a tag only, is checked and tested first, and publishes for good last', async (t) => {
  t.strictSame(on, { push: { tags: ['v*'] } })
  t.strictSame(permissions, { contents: 'read' })
  t.equal(jobs.test?.uses, './.github/workflows/ci.yml')
  t.ok('workflow_call' in parse(read(`${folder}/ci.yml`)).on)
  for (const job of ['image', 'packages'])
    for (const first of ['check', 'test']) t.ok(jobs[job]?.needs?.includes(first))
  t.strictSame(jobs.publish?.needs, ['check', 'image', 'packages'])
  t.match(scriptOf('check'), 'npm run --silent release -- check "$GITHUB_REF_NAME"')
  const writers = Object.entries(jobs).filter(([, job]) => Object.values(job.permissions ?? {}).includes('write'))
  t.strictSame(
    writers.map(([name]) => name),
    ['image', 'packages', 'publish'],
  )
  for (const [name, { environment }] of writers) t.equal(environment, 'release', `${name} waits for an approval`)
})

test('every npm script of the release exists', async (t) => {
  const { scripts } = JSON.parse(read('package.json'))
  const named = [...read(`${folder}/release.yml`).matchAll(/npm run (?:--silent )?([\w:]+)/g)].map(
    ([, script = '']) => script,
  )
  t.ok(named.length >= 5)
  for (const script of named) t.ok(scripts[script], script)
})

test('the image is for both processors, with SBOM and provenance, and the manifests get its digest', async (t) => {
  t.match(uses('image', 'docker/build-push-action'), {
    platforms: 'linux/amd64,linux/arm64',
    target: 'service',
    push: true,
    sbom: true,
    provenance: 'mode=max',
  })
  t.match(uses('image', 'actions/attest-build-provenance'), { 'subject-digest': /steps.build.outputs.digest/ })
  t.match(read('Dockerfile'), / AS service$/m)
  t.match(scriptOf('publish'), 'release -- manifests "$IMAGE" release-assets')
})

test('both packages are published with provenance, the verifier first, and a repeated run goes on', async (t) => {
  const script = scriptOf('packages')
  const names = ['verifier/package.json', 'package.json'].map((file) => JSON.parse(read(file)).name)
  t.match(script, `for package in ${names.join(' ')}; do`)
  t.match(script, 'npm publish --provenance --access public')
  // The script with an npm that writes down its call, and knows one version already.
  const run = (tag: string, published: string) =>
    execFileSync(
      'bash',
      ['-euc', `npm() { case $1 in view) [ "$2" = "${published}" ] ;; *) echo "$@" ;; esac; }\n${script}`],
      { env: { PATH: process.env.PATH, GITHUB_REF_NAME: tag }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
    )
  const call = (tag: string, archive: string) =>
    `publish --provenance --access public --tag ${tag} ./release-assets/${archive}\n`
  t.equal(run('v1.2.3', ''), call('latest', 'latchkey-verifier-1.2.3.tgz') + call('latest', 'latchkey-1.2.3.tgz'))
  t.equal(run('v1.2.3', '@latchkey/verifier@1.2.3'), call('latest', 'latchkey-1.2.3.tgz'))
  t.equal(run('v2.0.0-rc.1', 'latchkey@2.0.0-rc.1'), call('next', 'latchkey-verifier-2.0.0-rc.1.tgz'))
})
