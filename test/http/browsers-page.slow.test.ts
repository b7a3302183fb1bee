import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { test } from 'tap'
import type { Tokens } from '../support/api.js'
import { openDevice, openTab } from '../support/browser.js'
import { listen } from '../support/key-server.js'
import { PASSWORD, startService, stores } from '../support/service.js'

const root = new URL('../../../', import.meta.url)
const read = (path: string) => readFileSync(fileURLToPath(new URL(path, root)), 'utf8')
const guide = read('docs/browsers-and-mobile.md')

/** The code of the page between the comment with its name and the end of its block. */
function codeOf(name: string): string {
  const code = guide.split(`<!-- ${name} -->\n\`\`\`js\n`)[1]?.split('\n```')[0]
  if (code === undefined) throw new Error(`docs/browsers-and-mobile.md has no ${name}`)
  return code
}

interface Modules {
  session: {
    accessToken: string | undefined
    signIn(username: string, password: string): Promise<void>
    refresh(): Promise<boolean>
    signOut(): Promise<void>
    fetchWithToken(url: string): Promise<Response>
  }
  api: { get(url: string): Promise<{ status: number; data: { sessions: unknown[] } }> }
}

/** What the scripts below see as `window`. */
declare const window: Modules

for (const store of stores) {
  test(`${store}: a page on another origin signs in, refreshes in two tabs, and signs out, by cookie and by body`, async (t) => {
    // The origin must be known before the service starts, and the service before the page is served.
    let service = ''
    const files: Record<string, () => [string, string]> = {
      '/': () => [
        'text/html',
        `<!doctype html><title>app</title><link rel="icon" href="data:,"><script type="module">
          import * as session from './session.js'
          import axios from './axios-library.js'
          import { addToken } from './axios.js'
          const api = axios.create()
          addToken(api)
          Object.assign(window, { session, api })
        </script>`,
      ],
      '/session.js': () => ['text/javascript', codeOf('session.js').replace('https://auth.example.com', service)],
      '/axios.js': () => ['text/javascript', codeOf('axios.js')],
      '/axios-library.js': () => ['text/javascript', read('node_modules/axios/dist/esm/axios.js')],
    }
    const pages = createServer((request, response) => {
      const [type, body] = files[request.url ?? '']?.() ?? ['text/plain', '']
      response.writeHead(200, { 'content-type': type }).end(body)
    })
    const port = await listen(t, pages)
    const origin = `http://localhost:${port}`
    const { api, audited } = await startService(t, store, { CORS_ORIGINS: origin, REFRESH_COOKIE: 'on' })
    service = api.url.replace('127.0.0.1', 'localhost')
    await api.signUp('ada', PASSWORD)

    const first = await openDevice(t, origin)
    await untilLoaded(first)
    await first.evaluate((password) => window.session.signIn('ada', password), PASSWORD)
    const [cookie] = await first.context().cookies(service)
    t.match(cookie, { name: '__Host-latchkey-refresh', httpOnly: true, secure: true, sameSite: 'Strict', path: '/' })
    t.equal(await first.evaluate('document.cookie'), '', 'no script reads the cookie')

    // A second tab has no access token: fetch and axios get one after their first 401.
    const second = await openTab(first.context(), origin)
    await untilLoaded(second)
    const listed = await second.evaluate(
      async (url) => (await (await window.session.fetchWithToken(`${url}/sessions`)).json()) as { sessions: unknown[] },
      service,
    )
    t.equal(listed.sessions.length, 1)
    await second.reload()
    await untilLoaded(second)
    const both = await second.evaluate(
      async (url) =>
        (await Promise.all([window.api.get(`${url}/sessions`), window.api.get(`${url}/sessions`)])).map(
          ({ data }) => data.sessions.length,
        ),
      service,
    )
    t.strictSame(both, [1, 1])

    const refreshed = await Promise.all([first, second].map((page) => page.evaluate(() => window.session.refresh())))
    t.strictSame(refreshed, [true, true])
    const token = await first.evaluate(() => window.session.accessToken)
    await first.evaluate(() => window.session.signOut())
    t.strictSame(await first.context().cookies(service), [])
    t.notOk(await api.isActive(String(token)))
    t.equal(await second.evaluate(() => window.session.refresh()), false)

    // By body.
    const post = (page: Page, path: string, body: object) =>
      page.evaluate(
        async ([url, text]) => {
          const headers = { 'content-type': 'application/json' }
          const answer = await fetch(url, { method: 'POST', headers, body: text })
          return (answer.status === 204 ? {} : await answer.json()) as Tokens
        },
        [service + path, JSON.stringify(body)] as const,
      )
    const { refresh_token: refreshToken } = await post(first, '/login', { username: 'ada', password: PASSWORD })
    const [one, two] = (await Promise.all(
      [first, second].map((page) => post(page, '/refresh', { refresh_token: refreshToken })),
    )) as [Tokens, Tokens]
    t.ok(one.refresh_token)
    t.equal(one.refresh_token, two.refresh_token)
    await post(first, '/logout', { token: one.refresh_token })
    t.notOk(await api.isActive(one.access_token))

    // The same page on an origin that is not listed.
    const foreign = await openDevice(t, `http://127.0.0.1:${port}`)
    await untilLoaded(foreign)
    t.ok(await foreign.evaluate((password) => window.session.signIn('ada', password).catch(() => 'refused'), PASSWORD))
    t.strictSame(await foreign.context().cookies(service), [])
    t.equal(audited('refresh.reused').length, 0)
  })
}

const untilLoaded = (page: Page) => page.waitForFunction(() => window.session !== undefined)
