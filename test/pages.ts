import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defaultText, type SettingName, secretSettings, settings } from '../src/config/settings.js'
import { apiPage } from './support/api-page.js'

const root = new URL('../../', import.meta.url)

/** The generated pages as they should be. `npm run docs` writes them, and a test compares them with the files. */
export const pages: Record<string, () => string | Promise<string>> = {
  '.env.example': envExample,
  'docs/configuration.md': configurationPage,
  'docs/gateways.md': gatewaysPage,
  'docs/architecture.md': architecturePage,
  'docs/api.md': apiPage,
}

export const readPage = (path: string): string => readFileSync(new URL(path, root), 'utf8')

function envExample(): string {
  const lines = Object.entries(settings).map(
    ([name, { description }]) => `# ${description}\n#${name}=${defaultText(name as SettingName)}\n`,
  )
  return `# Every setting, with its default. Copy to .env, uncomment what you set, and start with
#   node --env-file=.env dist/src/server.js
# docs/configuration.md says more.

${lines.join('\n')}`
}

/** The page with its table generated again. */
function configurationPage(): string {
  const rows = Object.entries(settings).map(([name, { description }]) => {
    const value = defaultText(name as SettingName)
    const isSecret = secretSettings.some((secret) => secret === name)
    return `| \`${name}\`${isSecret ? ' *' : ''} | ${value && `\`${value}\``} | ${description} |`
  })
  const table = ['| name | default | meaning |', '| --- | --- | --- |', ...rows].join('\n')
  return readPage('docs/configuration.md').replace(
    /(<!-- settings: .*? -->\n\n).*?(\n\n<!-- end -->)/s,
    (_all, begin, end) => begin + table + end,
  )
}

/** The page with the gateway examples as the gateway tests start them. */
function gatewaysPage(): string {
  return readPage('docs/gateways.md').replace(
    /(<!-- example: (\S+) -->\n\n```\w+\n).*?(```\n)/gs,
    (_all, begin, file, end) => begin + readPage(`examples/gateways/${file}`) + end,
  )
}

/** Small rooms. Their arrows would hide the others. */
const LEAVES = ['file-mode', 'log', 'network', 'secret-fields', 'standard-output', 'unavailable', 'version']

/** The page with its diagram of the rooms generated again. */
function architecturePage(): string {
  const table = /^```arrows\n(.*?)^```$/ms.exec(readPage('CONTRIBUTING.md'))?.[1] ?? ''
  const arrows = table
    .trim()
    .split('\n')
    .flatMap((line) => {
      const [from = '', targets = ''] = line.split('->').map((part) => part.trim())
      return targets
        .split(/ (?!\()/)
        .filter((target) => target !== '' && !LEAVES.includes(target))
        .map((target) =>
          target.endsWith(' (types)') ? `${from} -.-> ${target.slice(0, -8)}` : `${from} --> ${target}`,
        )
    })
  return readPage('docs/architecture.md').replace(
    /(<!-- arrows: .*? -->\n\n```mermaid\n).*?(```\n)/s,
    (_all, begin, end) => `${begin}flowchart TD\n${arrows.map((arrow) => `  ${arrow}\n`).join('')}${end}`,
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, render] of Object.entries(pages)) writeFileSync(new URL(path, root), await render())
}
