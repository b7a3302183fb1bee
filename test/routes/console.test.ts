import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'tap'
import { startService } from '../support/service.js'

const root = new URL('../../../', import.meta.url)
const files = readdirSync(new URL('console/', root))
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

test('every file of /console/ has the headers that keep foreign scripts, frames and guesses of its type out', async (t) => {
  const { api } = await startService(t, 'sqlite', { CONSOLE: 'on' })
  t.match(await api.call('/console'), { status: 308, headers: { location: 'console/' } })
  for (const name of files) {
    const { status, headers, text } = await api.call(name === 'index.html' ? '/console/' : `/console/${name}`)
    t.equal(status, 200, name)
    t.equal(text, read(`console/${name}`), name)
    t.match(headers, {
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      // The next version of the service must not run with an old script. The answer has no secret, so a cache may keep it.
      'cache-control': 'no-cache',
      'content-type': /^(text\/(html|css|javascript); charset=utf-8|image\/svg\+xml)$/,
    })
    const policy = String(headers['content-security-policy']).split('; ')
    for (const rule of [
      "default-src 'none'",
      "script-src 'self'",
      "connect-src 'self'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "form-action 'none'",
      "require-trusted-types-for 'script'",
    ]) {
      t.ok(policy.includes(rule), `${name}: ${rule}`)
    }
    t.notMatch(policy.join(), /unsafe|https?:|\*|data:/, name)
    t.notOk(headers['set-cookie'], name)
  }
})

test('no file of the console names another host, has a script or a style inline, or makes markup of text', (t) => {
  for (const name of files) {
    const text = read(`console/${name}`).replaceAll('http://www.w3.org/2000/svg', '')
    t.notMatch(text, /https?:|\/\/[a-z]/, name)
    t.notMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function/, name)
    t.notMatch(text, /<style|\sstyle=|<script(?![^>]* src=)|\son[a-z]+=/, name)
  }
  t.end()
})

test('the page loads each script of the console at once, and no other', (t) => {
  const page = read('console/index.html')
  const preloaded = [...page.matchAll(/href="(\S+\.js)"/g)].map(([, name]) => name)
  t.strictSame([...preloaded, 'console.js'].sort(), files.filter((name) => name.endsWith('.js')).sort())
  t.end()
})

test('with CONSOLE=off every address of the console is 404, and /admin works', async (t) => {
  const { api } = await startService(t, 'sqlite', { CONSOLE: 'off' })
  for (const path of ['/console', '/console/', ...files.map((name) => `/console/${name}`)]) {
    t.equal((await api.call(path)).status, 404, path)
  }
  t.equal((await api.call('/admin/now')).status, 401)
})

test('the image gets the files of the console', (t) => {
  t.match(read('Dockerfile'), /^COPY --from=build \/app\/console \/app\/console$/m)
  t.match(read('.dockerignore'), /^!console$/m)
  t.end()
})
