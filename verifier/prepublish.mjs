import { readFileSync } from 'node:fs'

const { repository } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'))
if (new URL(repository.url.replace(/^git\+/, '')).hostname === 'git.example.com') {
  throw new Error('repository in verifier/package.json is an example: set it to the address of your repository')
}
