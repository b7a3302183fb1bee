import { readFileSync } from 'node:fs'

// npm runs this in the folder of the package.
const { name, repository } = JSON.parse(readFileSync('package.json', 'utf8'))
if (new URL(repository.url.replace(/^git\+/, '')).hostname === 'git.example.com') {
  throw new Error(`repository in the package.json of ${name} is an example: set it to the address of your repository`)
}
